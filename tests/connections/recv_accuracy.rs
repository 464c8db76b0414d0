//! Measures how exact `recv_timeout` is. It never ends early. It ends late by what the system
//! needs, which is printed.
//!
//! What is known of the timeouts of sockets on Windows:
//! * They are whole milliseconds (`SO_RCVTIMEO` in
//!   <https://learn.microsoft.com/windows/win32/winsock/sol-socket-socket-options>).
//! * Up to Windows 7, none was shorter than about 500 ms. The manual of Windows NT 4.0 said so, and
//!   <https://github.com/pocoproject/poco/pull/881> found it. The `std` of Rust needs Windows 10.
//! * The clock of the system ticks every 15.6 ms, unless a program asks for more (*Sleep function*,
//!   <https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-sleep>). So a wait may end
//!   a tick late, or early. landline looks at the clock, and waits again.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::time::{Duration, Instant};

use landline::{Builder, Error, Timeout};
use support::*;

/// The timeouts in milliseconds, and how often each is measured.
const TIMEOUTS: [(u64, usize); 8] =
    [(20, 50), (50, 20), (100, 10), (200, 5), (500, 2), (1000, 1), (2000, 1), (5000, 1)];

/// Measures all timeouts, at the same time, on connections to silent peers.
fn measures(what: &'static str, serve: fn() -> Server<()>, builder: &Builder) {
    let rows = TIMEOUTS.map(|(millis, times)| {
        let builder = builder.clone();
        let timeout = Duration::from_millis(millis);
        let row = spawn(move || {
            let server = serve();
            let mut ws = builder.connect(&server.url()).unwrap();
            let mut delays: Vec<_> = (0..times)
                .map(|_| {
                    let start = Instant::now();
                    let timed_out = error(ws.recv_timeout(timeout));
                    let took = start.elapsed();
                    assert!(matches!(timed_out, Error::Timeout(Timeout::Recv)), "{timed_out:?}");
                    assert!(took >= timeout, "took {took:?}, less than {timeout:?}");
                    took - timeout
                })
                .collect();
            delays.sort_unstable();
            drop(ws);
            server.join();
            (delays[delays.len() / 2], delays[delays.len() - 1])
        });
        (timeout, times, row)
    });
    for (timeout, times, row) in rows {
        let (median, most) = row.join();
        println!(
            "{what}, recv_timeout {timeout:?}: late by {median:?}, at most {most:?} of {times}"
        );
        assert!(most < PROMPT, "{timeout:?} was late by {most:?}");
    }
}

#[test]
fn a_recv_timeout_never_ends_early() {
    let serve = || {
        upgraded(|peer| {
            peer.stall();
        })
    };
    watchdog(LIMIT, move || measures("plain", serve, &builder()));
}

#[cfg(feature = "tls")]
#[test]
fn a_recv_timeout_over_tls_never_ends_early() {
    let serve = || {
        tls::serve_tls(tls::localhost(), |peer| {
            peer.upgrade();
            peer.stall();
        })
    };
    watchdog(LIMIT, move || measures("TLS", serve, &tls::builder()));
}
