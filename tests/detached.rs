//! Calls of the system that never come back: a resolver's, a connect to a Unix socket. In a process
//! of its own: the threads that make them are shared by a whole process.

#![allow(clippy::unwrap_used)] // The clippy.toml lets tests, but not what they call.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use landline::{Error, Timeout};
use support::*;

/// The names of the threads of this process that begin so.
#[cfg(target_os = "linux")]
fn threads(prefix: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with(prefix))
        .count()
}

#[test]
fn lookups_that_never_end_leave_four_threads_behind_and_no_more() {
    watchdog(LIMIT, || {
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let begun = Arc::new(AtomicUsize::new(0));
        let kept = Arc::new(());
        for _ in 0..10 {
            let (count, released, kept) = (begun.clone(), released.clone(), kept.clone());
            let stuck = builder().open_timeout(SHORT).resolver(move |_, _| {
                let _kept = &kept;
                count.fetch_add(1, Ordering::SeqCst);
                let _ = released.lock().unwrap().recv();
                Ok(Vec::new())
            });
            let timeout = takes(SHORT, || error(stuck.connect("ws://black.hole/")));
            assert!(matches!(timeout, Error::Timeout(Timeout::Resolve)), "{timeout:?}");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 4);
        // Ours, the four, and the last of those that wait.
        assert_eq!(Arc::strong_count(&kept), 6);
        #[cfg(target_os = "linux")]
        assert_eq!(threads("landline-resol"), 4);

        // One waits for its turn; those that nobody waits for any more are not begun.
        let server = upgraded(|peer| peer.expect_end());
        let addr = server.addr;
        let waiting = builder().resolver(move |_, _| Ok(vec![addr]));
        let connecting = spawn(move || waiting.connect("ws://good.test/").unwrap());
        drop(release);
        connecting.join().abort();
        server.join();
        assert_eq!(begun.load(Ordering::SeqCst), 4);

        // With nothing to look up there is no thread.
        #[cfg(target_os = "linux")]
        while threads("landline-resol") > 0 {
            std::thread::yield_now();
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn connects_to_a_unix_socket_that_never_end_leave_four_threads_behind_and_no_more() {
    use std::time::Duration;
    watchdog(LIMIT, || {
        let path = |what| {
            let name = format!("landline-{what}-{}.sock", std::process::id());
            std::env::temp_dir().join(name)
        };
        let stuck = path("stuck");
        let full = streams::full_backlog_at(&stuck);
        let builder = builder().open_timeout(Duration::from_millis(20));
        for _ in 0..10 {
            let timeout = promptly(|| error(builder.connect_unix(&stuck, "ws://x/")));
            assert!(matches!(timeout, Error::Timeout(Timeout::Connect)), "{timeout:?}");
        }
        assert_eq!(threads("landline-connec"), 4);

        // Another server does not have to wait for that one.
        let other = path("other");
        let _ = std::fs::remove_file(&other);
        let listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
        let said = error(builder.connect_unix(&other, "ws://x/"));
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
