//! The limits of the system: no file left for connections that are open, and no thread.

use std::fs::File;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Exit, Fate, Outbox};
use landline::backoff::Fixed;
#[cfg(feature = "deflate")]
use landline::error::Violation;
use landline::{Callbacks, CloseCode, Error, Message};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_thread_uid;

use crate::{echoes, support};
use support::process::{again, passed, value};
use support::*;

const EMFILE: i32 = 24;
const EAGAIN: i32 = 11;
/// The pause of the Apps between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Opens files until the process may open no more.
fn take_all_files() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn a_connection_that_is_open_needs_no_further_file() {
    const TEST: &str = "limits::a_connection_that_is_open_needs_no_further_file";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            passed(&again(TEST, "ulimit -n 64", &server.url()).output().unwrap());
            server.join();
        });
    };
    let mut ws = builder().connect(&url).unwrap();
    let files = take_all_files();
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("hello"));
    assert!(error(ws.recv_timeout(SHORT / 3)).is_timeout());
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    drop(files);
}

#[test]
fn an_app_without_free_files_connects_when_some_are_free() {
    const TEST: &str = "limits::an_app_without_free_files_connects_when_some_are_free";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            passed(&again(TEST, "ulimit -n 64", &server.url()).output().unwrap());
            server.join();
        });
    };
    let mut files = Some(take_all_files());
    let callbacks = Callbacks::new()
        .on_error(move |error| {
            let Error::Connect(refused) = error else { panic!("{error:?}") };
            assert_eq!(refused.attempts()[0].1.raw_os_error(), Some(EMFILE));
            drop(files.take());
        })
        .on_open(|ws, open| {
            assert_eq!(open.attempt, 2);
            ws.close(CloseCode::NORMAL)
        });
    let app = apps::app_at(url, callbacks).backoff(Fixed(PAUSE));
    assert!(matches!(promptly(|| app.run_forever()), Ok(Exit::Stopped)));
}

/// Lets the calling thread start no other one, and those that it has started before neither. The
/// limit does not hold for root, so the thread gives its rights up.
fn forbid_threads() {
    if rustix::process::getuid().is_root() {
        // No other process has this user, so that it has no threads.
        set_thread_uid(rustix::process::Uid::from_raw(61_861)).unwrap();
    }
    set_threads(Some(0));
    let refused = std::thread::Builder::new().spawn(|| ()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(EAGAIN));
}

fn allow_threads() {
    set_threads(getrlimit(Resource::Nproc).maximum);
}

fn set_threads(most: Option<u64>) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    setrlimit(Resource::Nproc, Rlimit { current: most, maximum }).unwrap();
}

#[test]
fn without_a_free_thread_connecting_fails_and_a_connection_that_is_open_goes_on() {
    const TEST: &str =
        "limits::without_a_free_thread_connecting_fails_and_a_connection_that_is_open_goes_on";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            passed(&again(TEST, ":", &server.url()).output().unwrap());
            server.join();
        });
    };
    let mut ws = builder().connect(&url).unwrap();
    forbid_threads();
    for to in [url.as_str(), "ws://localhost:1/"] {
        let said = promptly(|| error(builder().connect(to)));
        let number = match &said {
            Error::Connect(refused) => refused.attempts()[0].1.raw_os_error(),
            Error::Io(error) => error.raw_os_error(), // The thread of the lookup.
            _ => None,
        };
        assert_eq!(number, Some(EAGAIN), "{said:?}");
        assert!(said.is_retryable());
    }
    let app = apps::app_at(url.clone(), Callbacks::new());
    assert_eq!(app.spawn().unwrap_err().raw_os_error(), Some(EAGAIN));
    // An open connection has no thread, and starts none.
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("hello"));
    assert!(error(ws.recv_timeout(SHORT / 3)).is_timeout());
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    allow_threads();
    let said = error(builder().connect(&url));
    assert!(matches!(said, Error::Connect(_)), "the server is gone: {said:?}");
}

#[test]
fn an_app_without_a_free_thread_connects_when_there_is_one() {
    const TEST: &str = "limits::an_app_without_a_free_thread_connects_when_there_is_one";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            passed(&again(TEST, ":", &server.url()).output().unwrap());
            server.join();
        });
    };
    forbid_threads();
    let callbacks = Callbacks::new()
        .on_error(|error| {
            let Error::Io(refused) = error else { panic!("{error:?}") };
            assert_eq!(refused.raw_os_error(), Some(EAGAIN));
            allow_threads();
        })
        .on_open(|ws, open| {
            assert_eq!(open.attempt, 2);
            ws.close(CloseCode::NORMAL)
        });
    let app = apps::app_at(url, callbacks).backoff(Fixed(PAUSE));
    assert!(matches!(promptly(|| app.run_forever()), Ok(Exit::Stopped)));
}

#[test]
fn an_outbox_whose_thread_cannot_start_keeps_its_messages_and_sends_them_later() {
    const TEST: &str =
        "limits::an_outbox_whose_thread_cannot_start_keeps_its_messages_and_sends_them_later";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = apps::upgraded_times(2, |nth, peer| {
                if nth == 1 {
                    peer.expect(TEXT, b"kept");
                }
                while let Some(frame) = peer.next_frame() {
                    if frame.opcode == CLOSE {
                        let _ = peer.try_send(&support::frame(CLOSE, true, &frame.payload));
                        break;
                    }
                }
            });
            passed(&again(TEST, ":", &server.url()).output().unwrap());
            server.join();
        });
    };
    let (failed, has_failed) = channel();
    let callbacks = Callbacks::new()
        // The thread of the outbox would start after this.
        .on_open(|_, open| {
            if open.attempt == 1 && !open.reconnected {
                forbid_threads();
            }
        })
        .on_close(move |_| {
            allow_threads();
            failed.send(()).unwrap();
        });
    let app = apps::app_at(url, callbacks).backoff(Fixed(PAUSE)).outbox(Outbox::new());
    let ticket = app.handle().send_tracked("kept").unwrap();
    let handle = app.handle();
    let stopping = spawn(move || {
        let fate = ticket.wait(LIMIT);
        handle.stop(CloseCode::NORMAL).unwrap();
        fate
    });
    let exit = app.run_forever();
    assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
    assert!(matches!(stopping.join(), Fate::Sent { .. }));
    assert!(has_failed.recv().is_ok(), "the first connection ended");
}

#[cfg(feature = "deflate")]
#[test]
fn a_peer_whose_compressed_message_needs_more_than_there_is_memory_gets_1009() {
    const TEST: &str =
        "limits::a_peer_whose_compressed_message_needs_more_than_there_is_memory_gets_1009";
    let Some(url) = value() else {
        return watchdog(LIMIT * 2, || {
            for opcode in [TEXT, BINARY] {
                let server = serve(move |peer| {
                    peer.read_request();
                    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
                    let answer = peer.good_answer(extension);
                    peer.send(&answer);
                    let payload = one_mib_compressed();
                    let mut first = frame(opcode, false, &payload);
                    first[0] |= 0x40; // RSV1: the message is compressed.
                    let mut sent = peer.try_send(&first);
                    while sent.is_ok() {
                        sent = peer.try_send(&frame(0, false, &payload));
                    }
                    // Our Close may be lost by a reset, so the other process checks it.
                });
                let child = again(TEST, "ulimit -v 200000", &server.url()).output().unwrap();
                passed(&child);
                server.join();
            }
        });
    };
    let builder = builder().deflate(landline::deflate::Deflate::new()).max_message_size(None);
    let mut ws = builder.connect(&url).unwrap();
    let said = error(ws.recv());
    assert!(matches!(said, Error::Protocol(Violation::OutOfMemory)), "{said:?}");
    assert_eq!(ws.closed().unwrap().local().unwrap().code, Some(CloseCode::TOO_BIG));
}

/// Returns 1 MiB of text, as whole blocks of DEFLATE that can be repeated.
#[cfg(feature = "deflate")]
fn one_mib_compressed() -> Vec<u8> {
    use miniz_oxide::MZFlush;
    use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
    use miniz_oxide::deflate::stream::deflate;

    const RAW: i32 = -15;
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, RAW, 0));
    let mut payload = vec![0; 64 * 1024];
    let done = deflate(&mut compressor, &[b'x'; 1 << 20], &mut payload, MZFlush::Sync);
    done.status.unwrap();
    assert_eq!(done.bytes_consumed, 1 << 20);
    payload.truncate(done.bytes_written);
    assert!(payload.ends_with(&[0, 0, 0xFF, 0xFF]));
    payload
}
