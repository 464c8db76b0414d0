//! All that the feature `log` writes: heads of HTTP, frames, settings of the environment that are
//! skipped. Never a secret.

pub(crate) use on_or_off::*;

#[cfg(feature = "log")]
mod on_or_off {
    use std::mem;

    use crate::proto::frame::Opcode;
    use crate::proto::http::{is_secret, is_token};
    use crate::proto::recv::Found;
    use crate::sync::{Mutex, panicking};

    /// The target of all lines, for filters such as `RUST_LOG=landline=trace`. The name of a module
    /// would change with the layout.
    const TARGET: &str = "landline";

    /// Logs a head, each line by itself, with control characters escaped. A header that may hold a
    /// secret is logged without its value, and a request without its path, which may be a secret
    /// too.
    pub(crate) fn log_head(what: &str, head: &[u8]) {
        for (at, line) in head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
            let line = String::from_utf8_lossy(line);
            match (at, line.split_once(" /"), line.split_once(':')) {
                _ if line.is_empty() => {}
                (0, Some(("GET", _)), _) => log::debug!(target: TARGET, "{what}: GET ***"),
                (1.., _, Some((name, _))) if is_token(name) && is_secret(name) => {
                    log::debug!(target: TARGET, "{what}: {name}: ***");
                }
                // Any part of a malformed line may be a secret.
                (1.., _, name) if name.is_none_or(|(name, _)| !is_token(name)) => {
                    log::debug!(target: TARGET, "{what}: ***");
                }
                _ => log::debug!(target: TARGET, "{what}: {}", line.escape_debug()),
            }
        }
    }

    /// Logs that a variable of the environment is skipped, because it does not name a proxy.
    pub(crate) fn proxy_skipped(variable: &str) {
        log::warn!(target: TARGET, "{variable} is skipped: it names no proxy that is understood");
    }

    /// Logs that the entry number `at` of a list of exceptions, counted from 1, is skipped.
    pub(crate) fn exception_skipped(variable: &str, at: usize) {
        log::debug!(target: TARGET, "{variable}: entry {at} is skipped: it is not understood");
    }

    /// Logs the kind and the length of what was received, and not its content.
    pub(crate) fn received(found: Found) {
        if log::max_level() < log::LevelFilter::Trace {
            return;
        }
        let (opcode, len) = match found {
            Found::Message { kind, len } | Found::Fragment { kind, len, .. } => (kind.into(), len),
            Found::Ping { len } => (Opcode::Ping, len),
            Found::Pong { len } => (Opcode::Pong, len),
            Found::Close { len } => (Opcode::Close, len),
        };
        log::trace!(target: TARGET, "received {opcode:?}, {len} bytes");
    }

    /// Keeps the frames that were sent until they can be logged. The logger is the caller's code,
    /// which may send over the same connection, so it is called while no lock is held.
    #[derive(Debug, Default)]
    pub(crate) struct SentLog(Mutex<SentFrames>);

    #[derive(Debug, Default)]
    struct SentFrames {
        frames: Vec<(Opcode, u64)>,
        /// The number of frames that were sent and are not kept.
        more: usize,
    }

    /// The greatest number of frames that are kept: a message may have any number.
    const MAX_FRAMES: usize = 64;

    impl SentLog {
        /// Notes a frame that was sent, to log it later.
        pub(crate) fn note(&self, opcode: impl Into<Opcode>, len: u64) {
            if log::max_level() < log::LevelFilter::Trace {
                return;
            }
            let mut sent = self.0.lock();
            if sent.frames.len() < MAX_FRAMES {
                sent.frames.push((opcode.into(), len));
            } else {
                sent.more += 1;
            }
        }

        /// Returns a guard that logs the frames when it is dropped, which must be after all locks.
        pub(crate) fn guard(&self) -> SentLogGuard<'_> {
            SentLogGuard(self)
        }

        /// Logs the frames that were noted. The caller must not hold a lock.
        pub(crate) fn write(&self) {
            if log::max_level() < log::LevelFilter::Trace {
                return;
            }
            let sent = mem::take(&mut *self.0.lock());
            for (opcode, len) in sent.frames {
                log::trace!(target: TARGET, "sent {opcode:?}, {len} bytes");
            }
            if sent.more > 0 {
                log::trace!(target: TARGET, "sent {} more frames", sent.more);
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct SentLogGuard<'a>(&'a SentLog);

    impl Drop for SentLogGuard<'_> {
        #[inline]
        fn drop(&mut self) {
            if !panicking() {
                self.0.write();
            }
        }
    }
}

#[cfg(not(feature = "log"))]
mod on_or_off {
    use std::marker::PhantomData;

    use crate::proto::frame::Opcode;
    use crate::proto::recv::Found;

    pub(crate) fn log_head(_: &str, _: &[u8]) {}

    pub(crate) fn proxy_skipped(_: &str) {}

    pub(crate) fn exception_skipped(_: &str, _: usize) {}

    pub(crate) fn received(_: Found) {}

    #[derive(Debug, Default)]
    pub(crate) struct SentLog {}

    #[allow(clippy::unused_self)] // The methods are the same as with the feature.
    impl SentLog {
        pub(crate) fn note(&self, _: impl Into<Opcode>, _: u64) {}

        pub(crate) fn write(&self) {}

        pub(crate) fn guard(&self) -> SentLogGuard<'_> {
            SentLogGuard(PhantomData)
        }
    }

    #[derive(Debug)]
    pub(crate) struct SentLogGuard<'a>(PhantomData<&'a SentLog>);
}
