//! Measures one transport, in a process of its own. It prints lines of `name=values`,
//! mostly microseconds.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, iter, process, thread};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::process::cpu_time;
use crate::transport::{On, Program, connect};

/// The limit for all that this process does. It holds in case something hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// The most calls of a thread in a row.
const MOST: usize = 2000;
/// The most milliseconds between an answer and the next message, where there is a pause.
const THINK: u64 = 20;
/// The most milliseconds that a connection stands before it is stopped.
const STAND: u64 = 200;
/// The number of threads of the browser driver that call at the same time.
pub const THREADS: u64 = 4;
/// The milliseconds between two events, while the browser driver calls.
const WATCH: u64 = 10;
/// The number of messages that the GUI client sends at once.
const BURST: u64 = 100;

/// Is how much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The time for which calls are made one after the other.
    pub calls: Duration,
    /// The time for which nothing happens.
    pub idle: Duration,
    /// The number of connections that are stopped.
    pub stops: usize,
}

/// Measures the transport, with a server at `url`, and prints the figures.
pub fn run(program: Program, on: On, url: &str, plan: Plan) {
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("nothing may take longer than {LIMIT:?}");
        process::exit(1);
    });
    match program {
        Program::Browser => browser(on, url, plan),
        Program::Gui => gui(on, url, plan),
    }
}

fn browser(on: On, url: &str, plan: Plan) {
    let (browser, events) = Browser::connect(on, url);
    print("paused", call_for(&browser, plan.calls, 0, pauses(THINK)));
    let at_once = || iter::repeat(Duration::ZERO);
    print("one", call_for(&browser, plan.calls, 0, at_once()));
    let all = thread::scope(|scope| {
        let browser = &browser;
        let call = |thread: u64| {
            scope.spawn(move || call_for(browser, plan.calls, thread * 1_000_000, at_once()))
        };
        let threads: Vec<_> = (0..THREADS).map(call).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    print("threads", all);
    idle(plan.idle);

    browser.watch(WATCH);
    print("watched", call_for(&browser, plan.calls, 0, pauses(THINK)));
    browser.stop();
    // The transport has gone, so the events end here. None is lost, and none comes twice.
    let mut count = 0;
    for event in events {
        count += 1;
        assert_eq!(event, json!({ "method": "tick", "params": count }));
    }
    // The server may be late with each of them.
    let due = plan.calls.as_millis() as u64 / WATCH;
    assert!(count >= due / 10, "{count} events of {due}");

    let stops = pauses(STAND).take(plan.stops).map(|pause| {
        let (browser, _events) = Browser::connect(on, url);
        assert_eq!(browser.call("double", 21), 42);
        thread::sleep(pause);
        time(|| browser.stop())
    });
    print("stops", stops.collect());
}

/// Calls again and again, each time after a pause, and checks each result. Returns how long the
/// calls took.
fn call_for(
    browser: &Browser,
    time_for: Duration,
    first: u64,
    pauses: impl Iterator<Item = Duration>,
) -> Vec<Duration> {
    let began = Instant::now();
    let mut took = Vec::new();
    for (number, pause) in (first..).zip(pauses).take(MOST) {
        if began.elapsed() > time_for {
            break;
        }
        thread::sleep(pause);
        took.push(time(|| assert_eq!(browser.call("double", number), 2 * number)));
    }
    took
}

/// Is the GUI client: a thread that must not wait, and gets what was received from a channel.
fn gui(on: On, url: &str, plan: Plan) {
    let open = || {
        let (received, texts) = mpsc::channel();
        let on_text = move |text: &str| received.send(text.to_owned()).unwrap();
        (connect(Program::Gui, on, url, Box::new(on_text)), texts)
    };
    let (transport, texts) = open();
    let message =
        |id: u64, method: &str| json!({ "id": id, "method": method, "params": id }).to_string();
    let double = |id: u64| {
        transport.send(message(id, "double"));
    };
    let check = |id: u64| {
        let text = texts.recv_timeout(Duration::from_secs(30)).expect("the message is answered");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer, json!({ "id": id, "result": 2 * id }));
    };

    let began = Instant::now();
    let (mut sends, mut answers) = (Vec::new(), Vec::new());
    for (id, pause) in (1..).zip(pauses(THINK)) {
        if began.elapsed() > plan.calls {
            break;
        }
        thread::sleep(pause);
        answers.push(time(|| {
            sends.push(time(|| double(id)));
            check(id);
        }));
    }
    print("sends", sends);
    print("answers", answers);

    let burst = time(|| {
        (1..BURST).for_each(|id| transport.send(message(id, "note")));
        double(BURST);
        check(BURST);
    });
    print("burst", vec![burst]);
    idle(plan.idle);

    transport.stop();
    let stops = pauses(STAND).take(plan.stops).map(|pause| {
        let (transport, _texts) = open();
        thread::sleep(pause);
        time(|| transport.stop())
    });
    print("stops", stops.collect());
}

/// Measures a time in which nothing is sent or received.
fn idle(time: Duration) {
    let before = switches();
    let (cpu, began) = (cpu_time(), Instant::now());
    thread::sleep(time);
    // To count the switches takes time too.
    let (cpu, seconds) = (cpu_time() - cpu, began.elapsed().as_secs_f64());
    let added = |(task, count): (_, u64)| count - before.get(&task).unwrap_or(&0);
    println!("wakes={}", switches().into_iter().map(added).sum::<u64>() as f64 / seconds);
    println!("cpu={}", cpu.as_secs_f64() * 1e6 / seconds);
}

/// Returns how often each thread has waited, all but this one. Each wait ended with a wake-up.
fn switches() -> HashMap<OsString, u64> {
    let this = process::id().to_string();
    let tasks = fs::read_dir("/proc/self/task").expect("this needs Linux");
    let others = tasks.map(Result::unwrap).filter(|task| *task.file_name() != *this);
    let count = |task: fs::DirEntry| {
        // A thread that was joined is listed for a moment longer.
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Some((task.file_name(), line.unwrap().trim().parse().unwrap()))
    };
    others.filter_map(count).collect()
}

fn time(action: impl FnOnce()) -> Duration {
    let began = Instant::now();
    action();
    began.elapsed()
}

fn print(name: &str, took: Vec<Duration>) {
    let mut line = format!("{name}=");
    for took in took {
        let _ = write!(line, "{:.1} ", took.as_secs_f64() * 1e6);
    }
    println!("{}", line.trim_end());
}

/// Gives pauses that look random, below a limit. They are the same for each transport.
fn pauses(milliseconds: u64) -> impl Iterator<Item = Duration> {
    let mut state = 1_u64;
    iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Duration::from_micros((state >> 33) % (milliseconds * 1000))
    })
}
