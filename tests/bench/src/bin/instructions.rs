//! Counts the instructions that one message takes in user space, by callgrind, over a server in
//! memory. Each figure is the difference between two runs, of n messages and of 2n, so that setting
//! up does not show.
//!
//! Without arguments it prints all figures. `--check` compares those of landline's short messages
//! with `instructions.txt`, and fails when one has grown by more than 5 %. `--write` writes that
//! file. Long messages are left out there: how `memcpy` counts depends on the processor.

use std::process::{Command, ExitCode};

use landline::{Builder, Event};
use landline_bench::memory::Memory;
use tungstenite::{Bytes, Message};

/// What one run does. Its name is an argument.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    len: usize,
    text: bool,
    /// The number of messages of the shorter run.
    count: usize,
}

const fn job(name: &'static str, len: usize, text: bool, count: usize) -> Job {
    Job { name, len, text, count }
}

const JOBS: [Job; 10] = [
    job("receive", 16, false, 40_000),
    job("receive", 125, false, 40_000),
    job("receive", 64, true, 40_000),
    job("receive", 1024, false, 20_000),
    job("receive", 64 << 10, false, 1_000),
    job("receive", 1 << 20, true, 40),
    job("send", 16, false, 40_000),
    job("send", 1024, false, 20_000),
    job("send", 1 << 20, false, 40),
    job("send_all", 16, false, 40_000),
];

/// Messages of one `send_all`.
const BATCH: usize = 64;
/// The file that `--check` reads.
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => print(),
        ["--write"] => std::fs::write(FIGURES, figures()).unwrap(),
        ["--check"] => return check(),
        [who, name, len, text, count] => {
            let (len, count) = (len.parse().unwrap(), count.parse().unwrap());
            run(who, name, len, text == "true", count);
        }
        _ => {
            eprintln!("usage: instructions [--check | --write]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print() {
    println!(
        "{:24} {:>12} {:>12} {:>12}",
        "instructions a message", "lent", "owned", "tungstenite"
    );
    for job in JOBS {
        let receives = job.name == "receive";
        let cell = |who, counts: bool| match counts {
            true => count(who, job).to_string(),
            false => String::new(),
        };
        let (lent, owned) = (cell("lent", true), cell("owned", receives));
        println!("{:24} {lent:>12} {owned:>12} {:>12}", title(job), cell("tungstenite", true));
    }
}

fn title(job: Job) -> String {
    format!("{} {}{}", job.name, job.len, if job.text { " text" } else { "" })
}

/// Messages up to this length are checked.
const SHORT: usize = 1024;

/// Returns the figures of landline that are checked, one a line.
fn figures() -> String {
    let mut lines = String::new();
    for job in JOBS.into_iter().filter(|job| job.len <= SHORT) {
        let whose: &[_] = if job.name == "receive" { &["lent", "owned"] } else { &["lent"] };
        for &who in whose {
            let title = if whose.len() > 1 { title(job) + ", " + who } else { title(job) };
            lines += &format!("{title}: {}\n", count(who, job));
        }
    }
    lines
}

fn check() -> ExitCode {
    let (mut code, old) = (ExitCode::SUCCESS, std::fs::read_to_string(FIGURES).unwrap());
    let now = figures();
    for (line, old) in now.lines().zip(old.lines()) {
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        let grown = value(line) * 100 > value(old) * 105;
        println!("{line}{}", if grown { format!("  GREW from: {old}") } else { String::new() });
        if grown {
            code = ExitCode::FAILURE;
        }
    }
    assert_eq!(now.lines().count(), old.lines().count(), "--write the figures again");
    code
}

/// Returns the instructions that one message takes.
fn count(who: &str, job: Job) -> u64 {
    let [once, twice] = [job.count, 2 * job.count].map(|count| callgrind(who, job, count));
    (twice - once) / job.count as u64
}

fn callgrind(who: &str, job: Job, count: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([who, job.name, &job.len.to_string(), &job.text.to_string(), &count.to_string()])
        .output()
        .expect("valgrind is needed");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{says}");
    let collected = says.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap().1.trim().parse().unwrap()
}

fn run(who: &str, name: &str, len: usize, text: bool, count: usize) {
    let mut frame = landline_bench::wire::header(len, false);
    if text {
        frame[0] = 0x81;
    }
    frame.resize(frame.len() + len, b'a');
    let frames = frame.repeat(((64 << 10) / frame.len()).max(1));
    let memory = Memory::new(frames);
    match who {
        "tungstenite" => tungstenite(memory, name, len, count),
        _ => landline(memory, name, len, count, who == "owned"),
    }
}

fn landline(memory: Memory, name: &str, len: usize, count: usize, owned: bool) {
    let mut ws = Builder::new().connect_over("ws://localhost", memory).unwrap();
    let payload = vec![b'a'; len];
    match name {
        "receive" if owned => {
            for _ in 0..count {
                let received = match ws.recv().unwrap() {
                    landline::Message::Binary(bytes) => bytes.len(),
                    landline::Message::Text(text) => text.len(),
                };
                assert_eq!(received, len);
            }
        }
        "receive" => {
            for _ in 0..count {
                let received = match ws.next_event().unwrap() {
                    Event::Binary(bytes) => bytes.len(),
                    Event::Text(text) => text.len(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(received, len);
            }
        }
        "send" => (0..count).for_each(|_| ws.send(&payload[..]).unwrap()),
        _ => {
            (0..count / BATCH).for_each(|_| ws.send_all((0..BATCH).map(|_| &payload[..])).unwrap())
        }
    }
    std::mem::forget(ws); // What closing costs is of no interest.
}

fn tungstenite(memory: Memory, name: &str, len: usize, count: usize) {
    let mut ws = tungstenite::client("ws://localhost", memory).unwrap().0;
    let payload = Bytes::from(vec![b'a'; len]);
    match name {
        "receive" => {
            for _ in 0..count {
                assert_eq!(ws.read().unwrap().len(), len);
            }
        }
        "send" => {
            for _ in 0..count {
                ws.send(Message::Binary(payload.clone())).unwrap();
            }
        }
        _ => {
            for _ in 0..count / BATCH {
                for _ in 0..BATCH {
                    ws.write(Message::Binary(payload.clone())).unwrap();
                }
                ws.flush().unwrap();
            }
        }
    }
}
