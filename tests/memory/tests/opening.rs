//! The memory that a server can make an opening handshake take.

#[path = "../../support/mod.rs"]
mod support;

use landline::Error;
use landline::error::{HandshakeProblem, HeadError};
use landline_memory::{Used, measure};
use support::*;

const KIB: usize = 1024;

/// Connects to a server that sends `begin`, and then `again` until the client is gone.
fn never_ends(begin: &'static str, again: String) -> (Error, Used) {
    watchdog(LIMIT, move || {
        let server = serve(move |peer| {
            peer.read_request();
            let again = again.repeat(1 + 64 * KIB / again.len());
            let mut done = peer.try_send(begin.as_bytes());
            while done.is_ok() {
                done = peer.try_send(again.as_bytes());
            }
        });
        let builder = builder();
        let (said, used) = promptly(|| measure(|| error(builder.connect(&server.url()))));
        server.join();
        println!("{begin:?} and on and on: {used:?}");
        (said, used)
    })
}

fn fails_of(said: &Error, expected: HeadError) {
    let Error::Handshake(handshake) = said else { panic!("{said:?}") };
    assert_eq!(handshake.problem(), &HandshakeProblem::Head(expected));
}

#[test]
fn a_server_that_sends_header_lines_for_ever_costs_a_head() {
    let (said, used) = never_ends("HTTP/1.1 101 OK\r\n", "X-A: b\r\n".into());
    fails_of(&said, HeadError::TooManyLines);
    assert!(used.peak <= 64 * KIB, "{used:?}");
    let long = format!("X-A: {}\r\n", "b".repeat(8000));
    let (said, used) = never_ends("HTTP/1.1 101 OK\r\n", long);
    fails_of(&said, HeadError::HeadTooLarge);
    // These are the bytes, in a buffer that doubles, and the lines.
    assert!(used.peak <= 256 * KIB, "{used:?}");
}

#[test]
fn a_server_that_sends_an_endless_line_costs_a_line() {
    for begin in ["HTTP/1.1 101 ", "HTTP/1.1 101 OK\r\n", "HTTP/1.1 101 OK\r\nX-A: "] {
        let (said, used) = never_ends(begin, "x".into());
        fails_of(&said, HeadError::LineTooLong);
        assert!(used.peak <= 64 * KIB, "{used:?}");
    }
}

#[test]
fn a_server_that_sends_interim_responses_for_ever_costs_a_few() {
    let again = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_owned();
    let (said, used) = never_ends("", again);
    let Error::Handshake(handshake) = said else { panic!("{said:?}") };
    assert_eq!(handshake.problem(), &HandshakeProblem::TooManyInterim);
    assert!(used.peak <= 64 * KIB, "{used:?}");
}

#[test]
fn a_server_whose_refusal_never_ends_costs_what_is_kept_of_it() {
    for begin in [
        "HTTP/1.1 403 No\r\n\r\n",
        "HTTP/1.1 403 No\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    ] {
        let (said, used) = never_ends(begin, "x".into());
        let Error::Handshake(refused) = said else { panic!("{said:?}") };
        assert!(refused.response().unwrap().body().len() >= 64 * KIB - 20);
        // These are the bytes that are read, in a buffer that doubles, and the part of the body
        // that is kept.
        assert!(used.peak <= 512 * KIB, "{used:?}");
    }
}
