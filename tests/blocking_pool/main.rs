//! System calls that never return: lookups, and connects to Unix sockets. These tests have a
//! process of their own, because a whole process shares the threads that make the calls.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

#[path = "../support/mod.rs"]
mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landline::{Builder, Error, Timeout, WebSocket};
use support::*;

/// Returns how many threads of this process have a name with this prefix.
#[cfg(target_os = "linux")]
fn threads(prefix: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with(prefix))
        .count()
}

/// Runs a test while none of the others runs, because they count threads, or use them all up.
fn alone(limit: Duration, body: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    watchdog(limit, body);
    // When nothing is looked up or connected to, there is no thread.
    #[cfg(target_os = "linux")]
    watchdog(limit, || {
        while threads("landline-") > 0 {
            std::thread::yield_now();
        }
    });
}

/// A resolver that does not answer for names that begin with `dead`, until `release` is dropped.
/// All other names have the address of `server`.
struct Resolver {
    begun: Arc<AtomicUsize>,
    /// Receives a message whenever the lookup of a dead name begins.
    stuck: Receiver<()>,
    /// Lets one lookup that is stuck go on for each message.
    release: Sender<()>,
    builder: Builder,
}

fn resolver(server: SocketAddr) -> Resolver {
    let (begin, stuck) = channel();
    let (release, released) = channel::<()>();
    let shared = Mutex::new(begin);
    let released = Mutex::new(released);
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let builder = builder().resolver(move |name, _| {
        if name.starts_with("dead") {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = shared.lock().unwrap().send(());
            let _ = released.lock().unwrap().recv();
        }
        Ok(vec![server])
    });
    Resolver { begun, stuck, release, builder }
}

/// Starts a server that opens this many connections, and keeps them until their clients end them.
fn opens(connections: usize) -> (SocketAddr, Joined<()>) {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let serving = spawn(move || {
        let peers: Vec<_> = (0..connections)
            .map(|_| {
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                peer
            })
            .collect();
        peers.into_iter().for_each(|mut peer| _ = peer.stall());
    });
    (addr, serving)
}

fn timed_out(connected: Result<WebSocket, Error>) {
    let timeout = error(connected);
    assert!(matches!(timeout, Error::Timeout(Timeout::Resolve)), "{timeout:?}");
}

#[test]
fn fifty_names_that_are_not_answered_delay_no_other() {
    alone(LIMIT, || {
        let (addr, serving) = opens(53);
        let resolver = resolver(addr);
        let dead: Vec<_> = (0..50)
            .map(|nth| {
                let builder = resolver.builder.clone();
                spawn(move || builder.connect(&format!("ws://dead{nth}.test/")).unwrap())
            })
            .collect();
        (0..50).for_each(|_| resolver.stuck.recv().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 50);

        // By the same resolver, by another one, and by the system.
        let good = at_once(|| resolver.builder.connect("ws://good.test/").unwrap());
        let other = builder().resolver(move |_, _| Ok(vec![addr]));
        let other = at_once(|| other.connect("ws://dead1.test/").unwrap());
        let system = format!("ws://localhost:{}/", addr.port());
        let system = takes_at_most(PROMPT, || builder().connect(&system).unwrap());

        drop(resolver.release);
        drop(dead.into_iter().map(Joined::join).collect::<Vec<_>>());
        drop((good, other, system));
        serving.join();
        assert_eq!(resolver.begun.load(Ordering::SeqCst), 50);
    });
}

#[test]
fn connects_to_one_name_share_its_lookup() {
    alone(LIMIT, || {
        let (addr, serving) = opens(40);
        let resolver = resolver(addr);
        let connect = |timeout| {
            let builder = resolver.builder.clone().open_timeout(timeout);
            spawn(move || builder.connect("ws://dead.test/"))
        };
        // All of them give up, so all of them have waited for the same lookup.
        let impatient: Vec<_> = (0..40).map(|_| connect(SHORT)).collect();
        impatient.into_iter().for_each(|connecting| timed_out(connecting.join()));
        assert_eq!(resolver.begun.load(Ordering::SeqCst), 1);
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 1);

        // All get the answer.
        let patient: Vec<_> = (0..40).map(|_| connect(LIMIT)).collect();
        drop(resolver.release);
        let open: Vec<_> = patient.into_iter().map(|open| open.join().unwrap()).collect();
        assert!(open.iter().all(|ws| ws.peer_addr() == Some(addr)));
        drop(open);
        serving.join();
    });
}

#[test]
fn connects_that_share_a_lookup_get_its_error_and_their_own_port() {
    alone(LIMIT, || {
        // The system looks up the name once. The ports tell the servers apart.
        let servers = [(); 8].map(|()| upgraded(|peer| peer.expect_end()));
        let urls =
            servers.each_ref().map(|server| format!("ws://localhost:{}/", server.addr.port()));
        let connecting = urls.map(|url| spawn(move || builder().connect(&url).unwrap()));
        for (connecting, server) in connecting.into_iter().zip(servers) {
            let ws = connecting.join();
            assert_eq!(ws.peer_addr(), Some(server.addr));
            ws.abort();
            server.join();
        }

        let (begin, begun) = channel();
        let (release, released) = channel::<()>();
        let (begin, released) = (Mutex::new(begin), Mutex::new(released));
        let builder = builder().resolver(move |_, _| {
            let _ = begin.lock().unwrap().send(());
            let _ = released.lock().unwrap().recv();
            Err(io::Error::new(io::ErrorKind::HostUnreachable, "no such name today"))
        });
        let connecting: Vec<_> = (0..8)
            .map(|_| {
                let builder = builder.clone();
                spawn(move || error(builder.connect("ws://lost.test/")))
            })
            .collect();
        begun.recv().unwrap();
        drop(release);
        for connecting in connecting {
            let Error::Connect(failed) = connecting.join() else { panic!() };
            let why = failed.resolve_error().unwrap();
            assert_eq!(why.kind(), io::ErrorKind::HostUnreachable);
            assert_eq!(why.to_string(), "no such name today");
        }
    });
}

#[test]
fn a_name_that_is_never_answered_leaves_one_thread_behind_however_often_it_is_tried() {
    alone(LIMIT, || {
        let (addr, serving) = opens(1);
        let resolver = resolver(addr);
        let builder = resolver.builder.clone().open_timeout(Duration::from_millis(20));
        for _ in 0..20 {
            promptly(|| timed_out(builder.connect("ws://dead.test/")));
        }
        assert_eq!(resolver.begun.load(Ordering::SeqCst), 1);
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 1);

        // No caller waits for its answer, so the next connect asks again.
        drop(resolver.release);
        #[cfg(target_os = "linux")]
        while threads("landline-resol") > 0 {
            std::thread::yield_now();
        }
        drop(resolver.builder.connect("ws://dead.test/").unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(resolver.begun.load(Ordering::SeqCst), 2);
        serving.join();
    });
}

#[test]
fn resolvers_that_connect_by_name_themselves_do_not_wait_for_each_other() {
    /// A resolver that asks a server, whose name is looked up by such a resolver again.
    fn asking(server: SocketAddr, depth: usize) -> Builder {
        builder().resolver(move |name, port| {
            if depth > 0 {
                let url = format!("ws://{name}:{port}/");
                asking(server, depth - 1).connect(&url).map_err(io::Error::other)?;
            }
            Ok(vec![server])
        })
    }
    alone(LIMIT, || {
        let (addr, serving) = opens(8 * 4);
        let connecting: Vec<_> = (0..8)
            .map(|nth| spawn(move || asking(addr, 3).connect(&format!("ws://name{nth}.test/"))))
            .collect();
        connecting.into_iter().for_each(|connecting| drop(connecting.join().unwrap()));
        serving.join();
    });
}

#[test]
fn when_256_lookups_are_stuck_the_next_waits_its_turn_until_its_deadline() {
    alone(LIMIT, || {
        let (addr, serving) = opens(2);
        let resolver = resolver(addr);
        let builder = resolver.builder.clone().open_timeout(Duration::from_millis(1));
        for nth in 0..256 {
            // On a busy machine the time may have passed before the lookup could begin. Try again.
            while resolver.stuck.recv_timeout(Duration::from_millis(1)).is_err() {
                let error = error(builder.connect(&format!("ws://dead{nth}.test/")));
                assert!(error.is_timeout(), "{error:?}");
            }
        }
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 256);
        for late in ["dead.late.test", "good.late.test"] {
            let builder = resolver.builder.clone().open_timeout(SHORT);
            takes(SHORT, || timed_out(builder.connect(&format!("ws://{late}/"))));
        }
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 256);

        // When one returns, the callers that still wait go on. Those that gave up are skipped.
        let connecting = ["good", "best"].map(|name| {
            let builder = resolver.builder.clone();
            spawn(move || builder.connect(&format!("ws://{name}.test/")).unwrap())
        });
        resolver.release.send(()).unwrap();
        connecting.into_iter().for_each(|connecting| drop(connecting.join()));
        assert_eq!(resolver.begun.load(Ordering::SeqCst), 256);
        drop(resolver.release);
        serving.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn connects_to_a_unix_socket_that_never_end_leave_four_threads_behind_and_no_more() {
    alone(LIMIT, || {
        let path = |what| {
            let name = format!("landline-{what}-{}.sock", std::process::id());
            std::env::temp_dir().join(name)
        };
        let stuck = path("stuck");
        let full = streams::full_backlog_at(&stuck);
        let builder = builder().open_timeout(Duration::from_millis(20));
        for _ in 0..10 {
            let timeout = promptly(|| error(builder.connect_unix("ws://x/", &stuck)));
            assert!(matches!(timeout, Error::Timeout(Timeout::Connect)), "{timeout:?}");
        }
        assert_eq!(threads("landline-connec"), 4);

        // Another server does not have to wait for that one.
        let other = path("other");
        let _ = std::fs::remove_file(&other);
        let listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
        let patient = builder.open_timeout(SHORT * 3);
        let said = error(patient.connect_unix("ws://x/", &other));
        assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
        listener.accept().unwrap();

        drop(full);
        while threads("landline-connec") > 0 {
            std::thread::yield_now();
        }
        std::fs::remove_file(&stuck).unwrap();
        std::fs::remove_file(&other).unwrap();
    });
}
