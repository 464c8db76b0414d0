//! The thread of an outbox sleeps while it has nothing to do.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use landline::app::{Delivery, Exit, Fate, Outbox};
use landline::{Callbacks, CloseCode};

use crate::support;
use support::process::{self, again, passed, value};
use support::*;

const NAME: &str = "landline-outbox";

#[test]
fn an_outbox_that_waits_for_the_message_lock_does_not_spin() {
    watchdog(LIMIT, || {
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        let server = upgraded(|peer| {
            peer.expect_fragment(b"first");
            // The outbox could spin for this time. The sleep waits for nothing.
            std::thread::sleep(SHORT * 2);
            let spent = cpu();
            assert!(spent <= SHORT / 2, "{spent:?}");
            drop(over);
            peer.expect(0, b"");
            peer.expect(TEXT, b"second");
            peer.send(&close(1000, ""));
        });
        let mut is_over = Some(is_over);
        let mut writing = None;
        let callbacks = Callbacks::new().on_open(|ws, _| {
            let (ws, is_over) = (ws.clone(), is_over.take().unwrap());
            let (begun, has_begun) = std::sync::mpsc::channel();
            writing = Some(spawn(move || {
                let mut writer = ws.writer(landline::MessageKind::Text).unwrap();
                writer.write_all(b"first").unwrap();
                writer.flush().unwrap();
                begun.send(()).unwrap();
                let _ = is_over.recv();
                writer.finish().unwrap();
            }));
            has_begun.recv().unwrap();
        });
        let app = apps::app_at(server.url(), callbacks)
            .with_builder(builder().write_timeout(Duration::from_nanos(1)))
            .outbox(Outbox::new());
        app.handle().send("second").unwrap();
        let exit = app.run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        writing.unwrap().join();
        server.join();
    });
}

/// Starts a server that answers the client's Close, and discards what comes before.
fn sink() -> Server<()> {
    upgraded(|peer| {
        while let Some(frame) = peer.next_frame() {
            if frame.opcode == CLOSE {
                peer.send(&close(1000, ""));
            }
        }
    })
}

/// Stops an App, after a time in which its outbox thread could wake up.
fn sleeps_and_ends(app: landline::app::AppThread) {
    let before = wakeups();
    assert_eq!(before.len(), 1, "the App has an outbox thread");
    // The thread could poll for this time. The sleep waits for nothing.
    std::thread::sleep(SHORT * 2);
    // The thread may not have slept yet when the first number was read.
    assert!(wakeups()[0] <= before[0] + 2, "{before:?}, then {:?}", wakeups());
    app.handle().stop(CloseCode::NORMAL).unwrap();
    assert!(matches!(promptly(|| app.join()), Ok(Exit::Stopped)));
    expect_no_thread();
}

#[test]
fn the_thread_of_an_outbox_sleeps_while_nothing_can_be_sent_and_ends_with_the_app() {
    const TEST: &str =
        "outbox::the_thread_of_an_outbox_sleeps_while_nothing_can_be_sent_and_ends_with_the_app";
    if value().is_none() {
        return passed(&again(TEST, "true", "again").output().unwrap());
    }
    watchdog(LIMIT, || {
        let start = |url: String, outbox| {
            let app = apps::app_at(url, Callbacks::new()).outbox(outbox).spawn().unwrap();
            let ticket = app.handle().send_tracked("x").unwrap();
            assert!(matches!(ticket.wait(LIMIT), Fate::Sent { .. }));
            app
        };
        let server = sink();
        let app = start(server.url(), Outbox::new().always_queue(true));
        sleeps_and_ends(app);
        server.join();

        let server = sink();
        let app = start(server.url(), Outbox::new().pace(1, LIMIT * 10));
        let ticket = app.handle().send_tracked("waits for the window").unwrap();
        sleeps_and_ends(app);
        assert_eq!(ticket.fate(), Fate::AppOver);
        server.join();
    });
}

#[test]
fn an_outbox_that_does_not_always_queue_has_no_thread_while_nothing_waits() {
    const TEST: &str =
        "outbox::an_outbox_that_does_not_always_queue_has_no_thread_while_nothing_waits";
    if value().is_none() {
        return passed(&again(TEST, "true", "again").output().unwrap());
    }
    watchdog(LIMIT, || {
        let server = sink();
        let app = apps::app_at(server.url(), Callbacks::new()).outbox(Outbox::new());
        app.handle().send("kept").unwrap();
        let app = app.spawn().unwrap();
        assert!(app.handle().flush(LIMIT));
        expect_no_thread();
        assert_eq!(app.handle().send("at once").unwrap(), Delivery::Sent);
        assert!(wakeups().is_empty());
        app.handle().stop(CloseCode::NORMAL).unwrap();
        app.join().unwrap();
        server.join();
    });
}

/// Waits until the system has removed the last outbox thread.
fn expect_no_thread() {
    let start = Instant::now();
    while !wakeups().is_empty() {
        assert!(start.elapsed() <= PROMPT, "the thread goes on");
        std::thread::yield_now();
    }
}

/// Returns the user and system time of the threads of outboxes.
fn cpu() -> Duration {
    let stats = threads().map(|task| std::fs::read_to_string(task.join("stat")));
    stats.filter_map(|stat| Some(process::cpu(&stat.ok()?))).sum()
}

/// Returns how often each thread of an outbox went to sleep.
fn wakeups() -> Vec<u64> {
    let of = |task: PathBuf| {
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    threads().filter_map(of).collect()
}

/// Returns the folders, below `/proc`, of the threads of outboxes.
fn threads() -> impl Iterator<Item = PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        (name.trim_end() == NAME).then_some(task)
    })
}
