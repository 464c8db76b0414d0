//! The time that each step of opening a connection takes.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Tells how long it took to open a connection, step by step. [`WebSocket::timings`] and
/// [`Sender::timings`] give it.
///
/// After redirects the steps are those with the last server. Only [`total`](Self::total) includes
/// the others. Besides the steps, it includes the hooks of the program and what lies between the
/// steps, so the sum of the steps is a little less.
///
/// An [`App`](crate::App) gives a `Sender` to [`on_open`](crate::Handler::on_open).
///
/// [`WebSocket::timings`]: crate::WebSocket::timings
/// [`Sender::timings`]: crate::Sender::timings
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// let timings = ws.timings();
/// if let Some(tls) = timings.tls {
///     println!("{tls:?} of {:?} went into TLS", timings.total);
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// The time for looking up the name of the server, or of the proxy if there is one; with a
    /// `socks4` or `socks5` proxy, of both. `None` if no name had to be looked up.
    pub resolve: Option<Duration>,
    /// The time for connecting by TCP or to a Unix socket. It includes the addresses that failed
    /// before. `None` for [`connect_over`](crate::Builder::connect_over).
    pub connect: Option<Duration>,
    /// The time for asking the proxy for a way to the server. For an `https` proxy it includes TLS
    /// with the proxy. `None` without a proxy.
    pub proxy: Option<Duration>,
    /// The time of the TLS handshake with the server. `None` for `ws://`.
    pub tls: Option<Duration>,
    /// The time of the opening handshake of the WebSocket: the request, and the server's answer.
    pub handshake: Duration,
    /// The time from the call that connects to the open connection.
    pub total: Duration,
}

/// A step of opening a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Resolve,
    Connect,
    Proxy,
    Tls,
    Handshake,
}

/// Measures the steps with one server. A step that is done several times is added up.
#[derive(Clone, Debug)]
pub(crate) struct Stopwatch {
    start: Instant,
    steps: Cell<[u64; 5]>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), steps: Cell::default() }
    }

    /// Measures the steps anew. The total goes on.
    pub(crate) fn next_server(&self) -> Self {
        Self { start: self.start, steps: Cell::default() }
    }

    /// Measures a part of a step.
    pub(crate) fn time<T>(&self, step: Step, part: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = part();
        let mut steps = self.steps.get();
        let spent = &mut steps[step as usize];
        // Zero says that a step was not done, also where the clock is coarse.
        *spent = spent.saturating_add(nanoseconds(start).max(1));
        self.steps.set(steps);
        value
    }

    pub(crate) fn stop(&self) -> Spent {
        Spent { steps: self.steps.get(), total: nanoseconds(self.start) }
    }
}

fn nanoseconds(since: Instant) -> u64 {
    since.elapsed().as_nanos().try_into().unwrap_or(u64::MAX)
}

/// The nanoseconds of each step and of all, 0 for a step that was not done. This takes half the
/// memory of [`Timings`], because each open connection keeps it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    steps: [u64; 5],
    total: u64,
}

impl Spent {
    pub(crate) fn timings(&self) -> Timings {
        let [resolve, connect, proxy, tls, handshake] = self.steps;
        let step = |spent| (spent > 0).then(|| Duration::from_nanos(spent));
        Timings {
            resolve: step(resolve),
            connect: step(connect),
            proxy: step(proxy),
            tls: step(tls),
            handshake: Duration::from_nanos(handshake),
            total: Duration::from_nanos(self.total),
        }
    }
}
