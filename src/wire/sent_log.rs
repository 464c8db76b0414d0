//! The frames that were sent and are still to be logged. A logger is code of the caller's: it may
//! send over the same connection, so it is called when no lock is held.

#[cfg(feature = "log")]
use std::sync::PoisonError;

use crate::proto::frame::Opcode;
#[cfg(feature = "log")]
use crate::sync::Mutex;

/// The most frames that are kept until they are logged: a message may have any number.
#[cfg(feature = "log")]
const MAX_FRAMES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct SentLog {
    #[cfg(feature = "log")]
    frames: Mutex<(Vec<(Opcode, usize)>, usize)>,
}

#[cfg(feature = "log")]
impl SentLog {
    /// Notes a frame, to be logged later.
    pub(super) fn note(&self, opcode: Opcode, len: usize) {
        if log::max_level() < log::LevelFilter::Trace {
            return;
        }
        let mut noted = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let (frames, more) = &mut *noted;
        if frames.len() < MAX_FRAMES { frames.push((opcode, len)) } else { *more += 1 }
    }

    /// Logs the frames that were noted. The caller holds no lock.
    pub(super) fn write(&self) {
        if log::max_level() < log::LevelFilter::Trace {
            return;
        }
        let noted =
            std::mem::take(&mut *self.frames.lock().unwrap_or_else(PoisonError::into_inner));
        let (frames, more) = noted;
        for (opcode, len) in frames {
            log::trace!("sent {opcode:?}, {len} bytes");
        }
        if more > 0 {
            log::trace!("sent {more} frames more");
        }
    }
}

#[cfg(not(feature = "log"))]
#[allow(clippy::unused_self)] // As with the feature.
impl SentLog {
    pub(super) fn note(&self, _: Opcode, _: usize) {}

    pub(super) fn write(&self) {}
}
