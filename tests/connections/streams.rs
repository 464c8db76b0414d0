//! Unix sockets, sockets that the user prepared, and streams that are slow.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::stream::Stream;
use landline::{CloseCode, Error, Message};
use support::streams::Judged;
use support::*;

/// Starts a server that echoes one message, and answers a Close.
fn echoes_once() -> Server<()> {
    upgraded(|peer| {
        while let Some(frame) = peer.next_frame() {
            let answer = match frame.opcode {
                CLOSE => close_answer(&frame),
                opcode => support::frame(opcode, true, &frame.payload),
            };
            if peer.try_send(&answer).is_err() || frame.opcode == CLOSE {
                return;
            }
        }
    })
}

fn close_answer(frame: &Frame) -> Vec<u8> {
    support::frame(CLOSE, true, &frame.payload)
}

#[cfg(unix)]
mod unix {
    use std::io::ErrorKind;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use landline::error::Cause;

    use super::*;

    /// Copies between a Unix socket and a scripted server, in both directions.
    fn pump(stream: UnixStream, to: SocketAddr) {
        let server = TcpStream::connect(to).unwrap();
        let (mut from, mut into) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
        let (mut from, mut into) = (server, stream);
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
    }

    fn works(mut ws: landline::WebSocket) {
        assert_eq!((ws.peer_addr(), ws.local_addr()), (None, None));
        ws.send("over it").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("over it"));
        let timeout = error(ws.recv_timeout(Duration::from_millis(1)));
        assert!(timeout.is_timeout());
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    }

    #[test]
    fn a_unix_socket_is_connected_to_by_its_path() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let path = std::env::temp_dir().join(format!("landline-{}.sock", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path).unwrap();
            let addr = server.addr;
            let pumping = spawn(move || pump(listener.accept().unwrap().0, addr));
            works(builder().connect_unix("ws://localhost/chat", &path).unwrap());
            pumping.join();
            server.join();
            std::fs::remove_file(&path).unwrap();
            let missing = error(builder().connect_unix("ws://localhost/", &path));
            assert!(matches!(&missing, Error::Io(error) if error.kind() == ErrorKind::NotFound));
        });
    }

    #[test]
    fn a_destructor_sends_over_a_socket_while_the_thread_unwinds() {
        watchdog(LIMIT, || {
            struct AtLast<'a>(&'a landline::WebSocket);
            impl Drop for AtLast<'_> {
                fn drop(&mut self) {
                    self.0.send("over it").unwrap();
                }
            }
            let servers = [echoes_once(), echoes_once(), echoes_once(), echoes_once()];
            let tcp = |at: usize| TcpStream::connect(servers[at].addr).unwrap();
            let unix = |at: usize| {
                let (ours, theirs) = UnixStream::pair().unwrap();
                pump(theirs, servers[at].addr);
                ours
            };
            let boxed: [Box<dyn Stream>; 2] = [Box::new(tcp(2)), Box::new(unix(3))];
            let [boxed_tcp, boxed_unix] = boxed;
            for mut ws in [
                builder().connect_over("ws://tcp/", tcp(0)).unwrap(),
                builder().connect_over("ws://pair/", unix(1)).unwrap(),
                builder().connect_over("ws://tcp/", boxed_tcp).unwrap(),
                builder().connect_over("ws://pair/", boxed_unix).unwrap(),
            ] {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let _at_last = AtLast(&ws);
                    panic!("on purpose");
                }));
                assert!(panicked.is_err());
                assert_eq!(ws.recv().unwrap(), Message::from("over it"));
                assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
            }
            servers.into_iter().for_each(Server::join);
        });
    }

    #[test]
    fn a_connected_pair_is_connected_over() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            pump(theirs, server.addr);
            works(builder().connect_over("ws://pair/", ours).unwrap());
            server.join();
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_server_that_never_accepts_is_given_up_at_the_open_timeout() {
        watchdog(LIMIT, || {
            let name = format!("landline-full-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            let full = streams::full_backlog_at(&path);
            let builder = builder().open_timeout(SHORT);
            let refused = takes(SHORT, || error(builder.connect_unix("ws://x/", &path)));
            let expected = landline::Timeout::Connect;
            assert!(matches!(refused, Error::Timeout(which) if which == expected), "{refused:?}");
            drop(full);
            std::fs::remove_file(&path).unwrap();
        });
    }

    /// Returns whether the thread that connects has begun.
    #[cfg(target_os = "linux")]
    fn is_connecting() -> bool {
        let names = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        // Linux keeps the first fifteen bytes of a thread's name.
        names.into_iter().any(|name| name.trim() == "landline-connec")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_server_that_never_accepts_is_left_at_an_abort() {
        watchdog(LIMIT, || {
            let name = format!("landline-abort-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            let full = streams::full_backlog_at(&path);
            let abort = landline::AbortHandle::new();
            let builder = builder().open_timeout(None).abort_handle(abort.clone());
            let (inside, is_inside) = std::sync::mpsc::channel();
            let to = path.clone();
            let connecting = spawn(move || {
                inside.send(()).unwrap();
                error(builder.connect_unix("ws://x/", &to))
            });
            is_inside.recv().unwrap();
            while !is_connecting() {
                std::thread::yield_now();
            }
            abort.abort();
            let said = promptly(|| connecting.join());
            assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
            drop(full);
            std::fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn an_abort_wakes_a_recv_on_a_unix_socket() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let (ours, theirs) = UnixStream::pair().unwrap();
            pump(theirs, server.addr);
            let mut ws = builder().connect_over("ws://pair/", ours).unwrap();
            let sender = ws.sender();
            let receiving = spawn(move || error(ws.recv()));
            sender.abort();
            let said = promptly(|| receiving.join());
            assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted));
            server.join();
        });
    }
}

#[test]
fn a_stream_that_moves_a_byte_at_a_time_works() {
    watchdog(LIMIT, || {
        let server = echoes_once();
        let stream = TcpStream::connect(server.addr).unwrap();
        stream.set_nodelay(true).unwrap();
        let slow = Judged::new(stream, 1, |_, _| Ok(()));
        let mut ws = builder().connect_over("ws://slow/", slow).unwrap();
        for size in [0, 1, 125, 126, 5000] {
            let bytes = vec![7; size];
            ws.send(&bytes).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::Binary(bytes));
        }
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

/// Is a stream none of whose answers is that of a default method. It records the calls.
#[derive(Debug)]
struct Telling {
    socket: TcpStream,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Telling {
    fn told<T>(&self, call: impl Into<String>, answer: T) -> T {
        self.calls.lock().unwrap().push(call.into());
        answer
    }
}

impl Stream for Telling {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(7);
        self.told("read", Ok(buf.len()))
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.told(format!("write {buf:?}"), Ok(buf.len()))
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.told(format!("read timeout {timeout:?}"), Ok(()))
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.told(format!("write timeout {timeout:?}"), Ok(()))
    }

    fn resumes_writes(&self) -> bool {
        self.told("resumes writes", true)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.told(format!("non-blocking {nonblocking}"), Ok(()))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.told(format!("shutdown {how:?}"), Ok(()))
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.told("peer", Some(([1, 2, 3, 4], 5).into()))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.told("local", Some(([6, 7, 8, 9], 10).into()))
    }

    #[cfg(unix)]
    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.told("socket", Stream::fd(&self.socket))
    }

    #[cfg(windows)]
    fn socket(&self) -> Option<std::os::windows::io::BorrowedSocket<'_>> {
        self.told("socket", Stream::socket(&self.socket))
    }
}

/// Calls each method once.
fn use_each_method(stream: impl Stream) {
    let mut buf = [0; 3];
    assert_eq!(stream.read(&mut buf).unwrap(), 3);
    assert_eq!(buf, [7; 3]);
    assert_eq!(stream.write(&[1, 2]).unwrap(), 2);
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.set_write_timeout(None).unwrap();
    assert!(stream.resumes_writes());
    stream.set_nonblocking(true).unwrap();
    stream.shutdown(Shutdown::Read).unwrap();
    assert_eq!(stream.peer_addr(), Some(([1, 2, 3, 4], 5).into()));
    assert_eq!(stream.local_addr(), Some(([6, 7, 8, 9], 10).into()));
    #[cfg(unix)]
    assert!(stream.fd().is_some());
    #[cfg(windows)]
    assert!(stream.socket().is_some());
}

#[test]
fn a_boxed_stream_gets_each_call() {
    let listener = listener();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let telling = || {
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Telling { socket, calls: calls.clone() }
    };
    let take = || std::mem::take(&mut *calls.lock().unwrap());

    use_each_method(telling());
    let expected = take();
    let mut once = expected.clone();
    once.sort();
    once.dedup();
    let count = if cfg!(any(unix, windows)) { 10 } else { 9 };
    assert_eq!((once.len(), expected.len()), (count, count), "{expected:?}");

    use_each_method(Box::new(telling()));
    assert_eq!(take(), expected);
    use_each_method(Box::new(telling()) as Box<dyn Stream>);
    assert_eq!(take(), expected);
}

#[test]
fn a_boxed_stream_carries_a_connection() {
    watchdog(LIMIT, || {
        let server = echoes_once();
        let socket = TcpStream::connect(server.addr).unwrap();
        let local = socket.local_addr().unwrap();
        let stream: Box<dyn Stream> = Box::new(socket);
        let mut ws = builder().connect_over("ws://boxed/", stream).unwrap();
        assert_eq!((ws.peer_addr(), ws.local_addr()), (Some(server.addr), Some(local)));
        ws.send("over it").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("over it"));
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn the_socket_hook_sees_the_socket_and_may_refuse_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let hooked = builder().nodelay(false).on_socket(move |socket| {
            *inside.lock().unwrap() = Some((socket.peer_addr()?, socket.nodelay()?));
            Ok(())
        });
        let ws = hooked.connect(&server.url()).unwrap();
        assert_eq!(*seen.lock().unwrap(), Some((server.addr, false)));
        assert_eq!(ws.peer_addr(), Some(server.addr));
        drop(ws);
        server.join();

        let server = serve(|peer| io::copy(&mut peer.socket(), &mut io::sink()).unwrap());
        let refusing = builder().on_socket(|_| Err(io::Error::other("not this one")));
        let said = error(refusing.connect(&server.url()));
        assert!(matches!(&said, Error::Io(error) if error.to_string() == "not this one"));
        assert_eq!(server.join(), 0, "nothing is sent");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_hook_that_sets_non_blocking_mode_and_timeouts_makes_nothing_spin() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            // Connecting could spin for this time. The sleep waits for nothing.
            std::thread::sleep(SHORT * 2);
            let answer = peer.good_answer("");
            peer.send(&answer);
            peer.expect(TEXT, b"still blocks");
            peer.stall();
        });
        let tiny = Some(Duration::from_millis(1));
        let (keep, kept) = std::sync::mpsc::channel();
        let builder = builder().on_socket(move |socket| {
            keep.send(socket.try_clone()?).unwrap();
            socket.set_read_timeout(tiny)?;
            socket.set_write_timeout(tiny)?;
            socket.set_nonblocking(true)
        });
        let spent = |action: &mut dyn FnMut()| {
            let before = process::cpu_of_this_thread();
            takes(SHORT * 2, action);
            let used = process::cpu_of_this_thread() - before;
            // A loop that spins takes all of the time, or what other programs leave of it.
            assert!(used < SHORT / 2, "{used:?} of the processor in {:?}", SHORT * 2);
        };
        let mut open = None;
        spent(&mut || open = Some(builder.connect(&server.url()).unwrap()));
        let mut ws = open.unwrap();
        let began = Instant::now();
        io::Read::read(&mut kept.recv().unwrap(), &mut [0]).unwrap_err();
        assert!(began.elapsed() > SHORT / 15, "the socket does not block");
        ws.send("still blocks").unwrap();
        spent(&mut || {
            let said = error(ws.recv_timeout(SHORT * 2));
            assert!(matches!(said, Error::Timeout(landline::Timeout::Recv)), "{said:?}");
        });
        drop(ws);
        server.join();
    });
}

#[test]
fn small_messages_are_sent_at_once() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            while let Some(frame) = peer.next_frame() {
                if frame.opcode == TEXT {
                    peer.send(&text("pong"));
                }
            }
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let mut rounds: Vec<_> = (0..50)
            .map(|_| {
                let start = Instant::now();
                ws.send("a").unwrap();
                ws.send("b").unwrap();
                ws.recv().unwrap();
                ws.recv().unwrap();
                start.elapsed()
            })
            .collect();
        rounds.sort_unstable();
        // Nagle's algorithm and delayed acknowledgements would take 40 ms each time.
        assert!(rounds[25] < Duration::from_millis(30), "{rounds:?}");
        drop(ws);
        server.join();
    });
}
