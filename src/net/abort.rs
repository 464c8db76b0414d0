//! Aborts a connection from any thread, and wakes the threads that block in it.

use std::fmt;
use std::sync::Arc;

use super::stream::{Stream, shut_down};
use crate::sync::{Mutex, MutexGuard};

/// Ends a connection from any thread. A thread that blocks in connecting, in the handshakes, in
/// `recv` or in `send` returns with an error that says that the connection was aborted.
///
/// It returns within 100 ms if the stream is a socket, on Windows too. So it does over a stream
/// whose [`shutdown`](crate::stream::Stream::shutdown) wakes it. If not, a call of the stream that
/// blocks may go on until the timeout that was set for it. For a write this is `open_timeout` or
/// `write_timeout`.
///
/// Code that the caller gave to the builder, such as the hook of
/// [`headers_with`](crate::Builder::headers_with), is not interrupted. A
/// [`resolver`](crate::Builder::resolver) and a [`connector`](crate::Builder::connector) that block
/// are left behind in a thread.
///
/// Give the handle to [`Builder::abort_handle`](crate::Builder::abort_handle) before connecting. It
/// serves one connection at a time, the latest.
///
/// # Examples
///
/// ```
/// let abort = landline::AbortHandle::new();
/// let builder = landline::Builder::new().abort_handle(abort.clone());
/// abort.abort();
///
/// let error = builder.connect("ws://127.0.0.1:9").unwrap_err();
/// assert!(matches!(error.closed().unwrap().cause(), landline::error::Cause::Aborted));
/// ```
#[derive(Clone, Default)]
pub struct AbortHandle(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    aborted: bool,
    wake: Option<Wake>,
}

/// Wakes the threads that block. It may call a stream that the caller brought, so it is neither
/// called nor dropped under the lock.
type Wake = Arc<dyn Fn() + Send + Sync>;

impl AbortHandle {
    /// Returns a handle that belongs to no connection yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Aborts the connection, and every later one that uses the same handle.
    pub fn abort(&self) {
        let mut state = self.lock();
        state.aborted = true;
        let wake = state.wake.clone();
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Returns whether [`abort`](Self::abort) was called.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    /// Makes an abort shut down this stream, instead of what it did before.
    pub(crate) fn wake_stream(&self, stream: &Arc<dyn Stream>) {
        // The reference is weak, because a builder that lives on must not keep a socket open.
        let stream = Arc::downgrade(stream);
        self.wake_with(move || {
            if let Some(stream) = stream.upgrade() {
                shut_down(&*stream);
            }
        });
    }

    /// Makes an abort call `wake`, instead of what it did before. Calls it now if the connection is
    /// aborted already.
    pub(crate) fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let wake: Wake = Arc::new(wake);
        let mut state = self.lock();
        let last = state.wake.replace(wake.clone());
        let aborted = state.aborted;
        drop(state);
        drop(last);
        if aborted {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("aborted", &self.is_aborted()).finish()
    }
}
