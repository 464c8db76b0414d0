//! Tests of the whole process: it has no free files, no threads, no memory, gets signals, or is
//! stopped; it starts a child or forks. Most tests run themselves again, in a process of their own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod addresses;
#[cfg(feature = "tls")]
mod crypto_provider;
#[cfg(target_env = "gnu")]
mod detach;
mod limits;
mod outbox;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_env = "gnu")]
mod unix;

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::error::Violation;
use landline::{CloseCode, Error, Message, Timeout, WebSocket};
use process::{again, passed, value};
use support::*;

/// Starts a server that sends each frame back until a Close.
fn echoes() -> Server<()> {
    upgraded(|peer| {
        while let Some(frame) = peer.next_frame() {
            let answer = support::frame(frame.opcode, true, &frame.payload);
            if peer.try_send(&answer).is_err() || frame.opcode == CLOSE {
                return;
            }
        }
    })
}

/// Compiles the library with this name in the folder of this file. Returns the command of a shell
/// that preloads it.
#[cfg(target_env = "gnu")]
fn preload(name: &str) -> String {
    let library = format!("{}/{name}.so", env!("CARGO_TARGET_TMPDIR"));
    let source = format!("{}/tests/process/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let cc = Command::new("cc").args(["-shared", "-fPIC", &source, "-o", &library]).status();
    assert!(cc.unwrap().success());
    format!("export LD_PRELOAD={library}")
}

#[test]
fn a_process_without_free_files_gets_an_error_and_connects_when_files_are_free() {
    const TEST: &str =
        "a_process_without_free_files_gets_an_error_and_connects_when_files_are_free";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            passed(&again(TEST, "ulimit -n 64", &server.url()).output().unwrap());
            server.join();
        });
    };
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    for _ in 0..100 {
        let said = promptly(|| error(builder().connect(&url)));
        let Error::Connect(refused) = &said else { panic!("{said:?}") };
        const EMFILE: i32 = 24;
        assert_eq!(refused.attempts()[0].1.raw_os_error(), Some(EMFILE), "{said:?}");
        assert!(said.is_retryable());
    }
    // The lookup of a name needs files too.
    let said = promptly(|| error(builder().connect("ws://localhost:1/")));
    assert!(matches!(said, Error::Connect(_)) && said.is_retryable(), "{said:?}");
    drop(files);
    let mut ws = builder().connect(&url).unwrap();
    ws.send("still here").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("still here"));
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

#[test]
fn a_peer_that_sends_more_than_there_is_memory_gets_1009_and_the_process_lives() {
    const TEST: &str =
        "a_peer_that_sends_more_than_there_is_memory_gets_1009_and_the_process_lives";
    let Some(url) = value() else {
        return watchdog(LIMIT * 2, || {
            for opcode in [TEXT, BINARY] {
                for announced in [false, true] {
                    let server = upgraded(move |peer| {
                        let payload = vec![b'x'; 1 << 20];
                        let mut sent = match announced {
                            // The message is one frame of 2^40 bytes, or frames of 1 MiB.
                            true => peer.try_send(&[0x80 | opcode, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
                            false => peer.try_send(&frame(opcode, false, b"")),
                        };
                        let fragment = frame(0, false, &payload);
                        let again = if announced { &payload } else { &fragment };
                        peer.socket().set_write_timeout(Some(LIMIT / 4)).unwrap();
                        while sent.is_ok() {
                            sent = peer.try_send(again);
                        }
                        // The surplus may have caused a reset, and our Close may be lost. So the
                        // other process checks the Close.
                        peer.stall();
                    });
                    let child = again(TEST, "ulimit -v 200000", &server.url()).output().unwrap();
                    passed(&child);
                    server.join();
                }
            }
        });
    };
    let builder = builder().max_message_size(None);
    let mut ws = builder.connect(&url).unwrap();
    let said = error(ws.recv());
    assert!(matches!(said, Error::Protocol(Violation::OutOfMemory)), "{said:?}");
    let closed = ws.closed().unwrap();
    assert_eq!(closed.local().unwrap().code, Some(CloseCode::TOO_BIG));
    drop(ws);
}

/// Stops a process and continues it again and again, so that each of its calls is interrupted.
/// Returns whether the process succeeded, and the number of stops.
fn interrupted(mut child: Child) -> (bool, usize) {
    let pid = child.id().to_string();
    let mut times = 0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.success(), times);
        }
        let kill = format!("kill -STOP {pid}; kill -CONT {pid}; sleep 0.002");
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        times += 1;
    }
}

#[test]
fn a_process_that_is_stopped_again_and_again_loses_nothing_and_keeps_its_deadlines() {
    const TEST: &str =
        "a_process_that_is_stopped_again_and_again_loses_nothing_and_keeps_its_deadlines";
    let Some(url) = value() else {
        return watchdog(LIMIT * 2, || {
            let server = echoes();
            let mut again = again(TEST, ":", &server.url());
            let (success, times) = interrupted(again.stdout(Stdio::null()).spawn().unwrap());
            assert!(success, "the process failed, see above; it was stopped {times} times");
            assert!(times > 20, "only {times} times");
            server.join();
        });
    };
    echoes_and_keeps_deadlines(builder().write_timeout(LIMIT).connect(&url).unwrap());
}

/// Checks that `recv_timeout` keeps its deadline, and that each message comes back.
fn echoes_and_keeps_deadlines(mut ws: WebSocket) {
    let sender = ws.sender();
    for _ in 0..4 {
        // The timeout of the read must not begin anew with each signal.
        let said = takes(SHORT, || error(ws.recv_timeout(SHORT)));
        assert!(matches!(said, Error::Timeout(Timeout::Recv)), "{said:?}");
        let big: Vec<u8> = (0..4 << 20).map(|n: u32| n.to_be_bytes()[3]).collect();
        let sending = {
            let (sender, big) = (sender.clone(), big.clone());
            spawn(move || sender.send(&big).unwrap())
        };
        assert!(ws.recv().unwrap().as_bytes() == big);
        sending.join();
    }
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

#[test]
fn a_process_that_handles_signal_after_signal_loses_nothing_and_keeps_its_deadlines() {
    const TEST: &str =
        "a_process_that_handles_signal_after_signal_loses_nothing_and_keeps_its_deadlines";
    let Some(url) = value() else {
        return watchdog(LIMIT * 2, || {
            let server = echoes();
            passed(&again(TEST, ":", &server.url()).output().unwrap());
            server.join();
        });
    };
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = handled.clone();
    let count = move || _ = counted.fetch_add(1, Ordering::SeqCst);
    ctrlc::set_handler(count).unwrap();
    // The signals are sent to this thread. The system does not restart a call that has a timeout
    // after a signal.
    let this = std::fs::read_link("/proc/thread-self").unwrap();
    let this = this.file_name().unwrap().to_str().unwrap();
    let kill = format!("while kill -INT {this}; do sleep 0.001; done");
    let mut kill = Command::new("sh").args(["-c", &kill]).spawn().unwrap();
    echoes_and_keeps_deadlines(builder().write_timeout(LIMIT).connect(&url).unwrap());
    kill.kill().unwrap();
    kill.wait().unwrap();
    let handled = handled.load(Ordering::SeqCst);
    assert!(handled > 20, "only {handled} signals");
}

#[test]
fn a_silent_peer_is_pinged_once_after_the_process_was_stopped() {
    const TEST: &str = "a_silent_peer_is_pinged_once_after_the_process_was_stopped";
    const INTERVAL: Duration = Duration::from_millis(50);
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (open, is_open) = std::sync::mpsc::channel();
            let (stopped, was_stopped) = std::sync::mpsc::channel::<()>();
            let server = upgraded(move |peer| {
                open.send(()).unwrap();
                was_stopped.recv().unwrap();
                let mut pings = 0;
                while peer.next_frame().is_some_and(|frame| frame.opcode == PING) {
                    pings += 1;
                }
                pings
            });
            let mut child = again(TEST, ":", &server.url());
            let child = child.stdout(Stdio::null()).spawn().unwrap();
            is_open.recv().unwrap();
            let kill = |signal: &str| {
                let pid = child.id().to_string();
                assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
            };
            kill("-STOP");
            // The process is stopped for this time. The sleep waits for nothing.
            std::thread::sleep(INTERVAL * 20);
            kill("-CONT");
            stopped.send(()).unwrap();
            assert!(child.wait_with_output().unwrap().status.success());
            // There may be one ping before the stop, and there is one after it.
            let pings = server.join();
            assert!((1..=3).contains(&pings), "{pings} pings");
        });
    };
    let keepalive = landline::Keepalive::new(INTERVAL, INTERVAL * 2);
    let mut ws = builder().keepalive(keepalive).connect(&url).unwrap();
    let said = error(ws.recv());
    assert!(matches!(said, Error::Timeout(Timeout::Pong)), "{said:?}");
}

#[test]
fn a_child_that_is_started_while_connected_gets_no_socket_of_ours() {
    watchdog(LIMIT, || {
        let server = echoes();
        let socket = Arc::new(Mutex::new(String::new()));
        let seen = socket.clone();
        let builder = builder().on_socket(move |stream: &TcpStream| {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd()))?;
            *seen.lock().unwrap() = link.to_string_lossy().into_owned();
            Ok(())
        });
        let mut ws = builder.connect(&server.url()).unwrap();
        let ours = socket.lock().unwrap().clone();
        assert!(ours.starts_with("socket:["), "{ours}");
        let listing = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        assert!(listing.contains("/dev/null") || listing.contains("pipe:"), "{listing}");
        assert!(!listing.contains(&ours), "{ours} in {listing}");
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_process_with_little_stack_for_its_threads_can_do_everything() {
    watchdog(LIMIT, || {
        let server = echoes();
        let url = server.url();
        let live = std::thread::Builder::new().stack_size(96 * 1024).spawn(move || {
            let mut ws = builder().connect(&url).unwrap();
            let big = vec![7; 1 << 20];
            ws.send(&big).unwrap();
            assert_eq!(ws.recv().unwrap().as_bytes().len(), big.len());
            ws.sender().send_all(["one", "two"]).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("one"));
            assert!(matches!(ws.next_event().unwrap(), landline::Event::Text("two")));
            assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        });
        live.unwrap().join().unwrap();
        server.join();
    });
}

#[test]
fn a_connection_needs_no_thread_and_one_file() {
    const TEST: &str = "a_connection_needs_no_thread_and_one_file";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let listener = listener();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let over = Arc::new(AtomicBool::new(false));
            let is_over = over.clone();
            let serving = spawn(move || {
                let mut peers = Vec::new();
                loop {
                    let (stream, _) = listener.accept().unwrap();
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut peer = Peer::new(stream);
                    peer.upgrade();
                    peers.push(peer);
                }
            });
            let child = again(TEST, ":", &url).output().unwrap();
            over.store(true, Ordering::SeqCst);
            drop(TcpStream::connect(url.trim_start_matches("ws://").trim_end_matches('/')));
            serving.join();
            passed(&child);
        });
    };
    let (files, threads) = (process::open_files(), process::threads());
    let all: Vec<_> = (0..200).map(|_| builder().connect(&url).unwrap()).collect();
    assert_eq!(process::open_files() - files, all.len());
    // The threads that connected end by themselves.
    assert_eq!(process::settled(threads, process::threads), threads);
    drop(all);
    assert_eq!(process::open_files(), files);
}

#[test]
fn two_thousand_connections_leave_no_file_and_no_thread_behind() {
    const TEST: &str = "two_thousand_connections_leave_no_file_and_no_thread_behind";
    let Some(count) = value() else {
        return watchdog(LIMIT * 3, || passed(&again(TEST, ":", "2000").output().unwrap()));
    };
    let cycle = |at: usize| {
        let server = upgraded(|peer| {
            if peer.next_frame().is_some_and(|frame| frame.close_code() == Some(1000)) {
                peer.send(&close(1000, ""));
            }
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        match at % 4 {
            0 => assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean()),
            1 => ws.abort(),
            2 => drop(ws.split().1),
            _ => drop(ws),
        }
        server.join();
        // A refused connection leaves nothing either.
        if at % 10 == 0 {
            let server = serve(|peer| peer.rst());
            error(builder().connect(&server.url()));
            server.join();
        }
    };
    (0..20).for_each(cycle);
    let settled = |most: (usize, usize)| {
        let start = Instant::now();
        loop {
            let now = (process::open_files(), process::threads());
            if (now.0 <= most.0 && now.1 <= most.1) || start.elapsed() > PROMPT {
                return now;
            }
            std::thread::yield_now();
        }
    };
    let before = settled((0, 0));
    (0..count.parse().unwrap()).for_each(cycle);
    assert_eq!(settled(before), before, "files and threads");
}

#[test]
fn a_send_over_a_unix_socket_whose_peer_is_gone_is_an_error_even_if_sigpipe_kills() {
    const TEST: &str =
        "a_send_over_a_unix_socket_whose_peer_is_gone_is_an_error_even_if_sigpipe_kills";
    use std::os::unix::net::{UnixListener, UnixStream};
    let Some(path) = value() else {
        let name = format!("landline-sigpipe-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let serving = spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                streams::upgrade(&mut stream);
                // To drop it is not enough: a process that another test just starts has a copy.
                stream.shutdown(std::net::Shutdown::Both).unwrap();
                drop(stream);
                // The end of this second connection tells the client that the first is closed.
                drop(listener.accept().unwrap());
            }
        });
        let value = path.to_str().unwrap().to_owned();
        watchdog(LIMIT, move || passed(&again(TEST, ":", &value).output().unwrap()));
        serving.join();
        return std::fs::remove_file(&path).unwrap();
    };
    // A Rust program ignores the signal from its start on. A program in another language may not.
    sigpipe::reset();
    let is_default = Command::new("sh").args(["-c", "kill -PIPE $$"]).status().unwrap();
    assert!(!is_default.success(), "SIGPIPE is ignored, so this test shows nothing");
    let connects: [fn(&str) -> WebSocket; 2] = [
        |path| builder().connect_unix("ws://unix/", path).unwrap(),
        |path| {
            let over = UnixStream::connect(path).unwrap();
            builder().connect_over("ws://unix/", over).unwrap()
        },
    ];
    for connect in connects {
        let ws = connect(&path);
        assert_eq!(ws.peer_addr(), None);
        let mut closed = UnixStream::connect(&path).unwrap();
        assert_eq!(closed.read(&mut [0]).unwrap(), 0);
        let said = error(ws.send("hello"));
        assert!(matches!(said, Error::Closed(_)), "{said:?}");
    }
}

#[test]
fn a_child_of_a_fork_looks_up_names_even_if_its_parent_forked_during_lookups() {
    const TEST: &str = "a_child_of_a_fork_looks_up_names_even_if_its_parent_forked_during_lookups";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let server = echoes();
            let url = format!("ws://localhost:{}/", server.addr.port());
            passed(&again(TEST, ":", &url).output().unwrap());
            server.join();
        });
    };
    // 256 lookups are stuck, the most that may be. The child then looks up another name.
    let (begin, begun) = std::sync::mpsc::channel();
    let begin = Mutex::new(begin);
    let stuck = builder().open_timeout(Duration::from_millis(1)).resolver(move |_, _| {
        begin.lock().unwrap().send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    for nth in 0..256 {
        // On a busy machine the timeout may pass before the lookup begins. Then it is tried again.
        while begun.recv_timeout(Duration::from_millis(1)).is_err() {
            error(stuck.connect(&format!("ws://stuck{nth}.test/")));
        }
    }
    let connects = move || {
        let mut ws = builder().connect(&url).unwrap();
        ws.send("hello").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    };
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            // The child has no test harness, and must not run the parent's destructors.
            let connected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(connects));
            std::process::exit(i32::from(connected.is_err()));
        }
        fork::Fork::Parent(child) => assert_eq!(fork::waitpid(child).unwrap(), 0),
    }
}

/// Lets this process map at most `bytes` bytes more.
fn limit_memory(bytes: usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: usize = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--as={}:unlimited", size * 1024 + bytes);
    let pid = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(limited.success());
}

/// Returns the number of threads of this process that have this name, of which the system keeps 15
/// bytes.
fn running(thread: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while its name is read.
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| thread.starts_with(name.trim_end())).count()
}

#[test]
fn the_race_of_addresses_goes_on_with_one_thread_if_a_second_cannot_be_started() {
    const TEST: &str =
        "the_race_of_addresses_goes_on_with_one_thread_if_a_second_cannot_be_started";
    if value().is_none() {
        // The allocator must not map another arena, of 64 MiB, while the limit is set.
        let one_arena = "export MALLOC_ARENA_MAX=1";
        return watchdog(LIMIT, || passed(&again(TEST, one_arena, "").output().unwrap()));
    }
    let (silent, waiting) = full_backlog();
    let addr = silent.local_addr().unwrap();
    let ours: Vec<_> =
        waiting.iter().filter_map(|client| client.local_addr().ok()?.as_socket()).collect();
    let serving = spawn(move || {
        // The server is slow: the second address is tried after 250 ms.
        std::thread::sleep(Duration::from_millis(600));
        // The backlog has room now, so the SYN that is sent again after a second is answered. The
        // others send none again that could take the room.
        drop(waiting);
        loop {
            let (stream, from) = silent.accept().unwrap();
            if !ours.contains(&from) {
                let mut peer = Peer::new(stream);
                peer.upgrade();
                return peer.expect_end();
            }
        }
    });
    let (started, starts) = std::sync::mpsc::channel();
    let builder = builder()
        .resolver(move |_, _| Ok(vec![addr, closed()]))
        // The thread of the first address sets the limit. A thread that calls a connector needs
        // 2 MiB of stack, so there is none for the second address; a growth of the heap fits.
        .connector(move |address, _| {
            started.send(address).unwrap();
            while running("landline-resolve") > 0 {
                std::thread::yield_now();
            }
            spawn(std::thread::park); // Takes the stack that it left.
            limit_memory(1 << 20);
            TcpStream::connect(address)
        });
    let ws = takes(Duration::from_millis(600), || builder.connect("ws://several.test/").unwrap());
    assert!(starts.try_iter().eq([addr]), "the second thread was started");
    assert_eq!(ws.peer_addr(), Some(addr));
    ws.abort();
    serving.join();
}
