//! Tests that a signal does not end the connect to a Unix socket, which may block for long.

use std::os::unix::net::{UnixListener, UnixStream};

use landline::{Error, Timeout};

use crate::preload;
use crate::process::{again, passed, value};
use crate::support::*;

#[test]
fn a_connect_to_a_unix_socket_that_signals_interrupt_goes_on() {
    const TEST: &str = "unix::a_connect_to_a_unix_socket_that_signals_interrupt_goes_on";
    let Some(path) = value() else {
        return watchdog(LIMIT, || {
            let path = format!("landline-interrupted-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(path);
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path).unwrap();
            let again = again(TEST, &preload("connect"), path.to_str().unwrap()).output();
            passed(&again.unwrap());
            drop(listener);
            std::fs::remove_file(&path).unwrap();
        });
    };
    // Without a loop, a connect is interrupted.
    let error_of_std = UnixStream::connect(&path).unwrap_err();
    assert_eq!(error_of_std.kind(), std::io::ErrorKind::Interrupted);
    // The server accepts the connection, but never answers.
    let said = error(builder().open_timeout(SHORT_OPENING).connect_unix("ws://x/", &path));
    assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
}
