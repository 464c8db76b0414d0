//! Counts the instructions that one message takes in user space, by callgrind: of clients over a
//! server in memory, and of the parts of `landline::proto` alone. Each figure is the difference
//! between two runs, of n messages and of 2n, so that setting up does not show.
//!
//! Without arguments it prints all figures. `--check` compares those of landline's messages of up
//! to 64 KiB with `instructions.txt`, and fails when one has grown by more than 5 %. `--write`
//! writes that file.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::thread;

use landline::proto::frame::Opcode;
use landline::proto::mask::mask_into;
use landline::proto::recv::{Decoder, DeliveryMode, Limits};
use landline::proto::send::{Encoder, MaskKeys};
use landline::proto::utf8::Utf8;
use landline::{Builder, Event, MessageRef};
use landline_bench::memory::Memory;
use landline_bench::message::{Kind, Message};
use landline_bench::wire::frame;
use nexus_web::ws::{
    ClientBuilder, FrameReader, FrameWriter, Message as NexusMessage, Role, apply_mask,
};
use tungstenite::Message as TungsteniteMessage;

/// Says what one run does. Its name is an argument.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    len: usize,
    kind: Kind,
    /// The number of messages of the shorter run.
    count: usize,
}

const fn job(name: &'static str, len: usize, kind: Kind, count: usize) -> Job {
    Job { name, len, kind, count }
}

const JOBS: [Job; 25] = [
    job("receive", 16, Kind::Binary, 40_000),
    job("receive", 125, Kind::Binary, 40_000),
    job("receive", 64, Kind::Ascii, 40_000),
    job("receive", 1024, Kind::Binary, 20_000),
    job("receive", 1024, Kind::Multi, 20_000),
    job("receive", 64 << 10, Kind::Binary, 1_000),
    job("receive", 1 << 20, Kind::Ascii, 40),
    job("receive", 1 << 20, Kind::Multi, 40),
    job("send", 16, Kind::Binary, 40_000),
    job("send", 1024, Kind::Binary, 20_000),
    job("send", 1 << 20, Kind::Binary, 40),
    job("send_all", 16, Kind::Binary, 40_000),
    job("decode", 16, Kind::Binary, 40_000),
    job("decode", 64, Kind::Ascii, 40_000),
    job("decode", 1024, Kind::Binary, 20_000),
    job("encode", 16, Kind::Binary, 40_000),
    job("encode", 1024, Kind::Binary, 20_000),
    job("encode", 1 << 20, Kind::Binary, 40),
    job("mask", 16, Kind::Binary, 40_000),
    job("mask", 1024, Kind::Binary, 20_000),
    job("mask", 1 << 20, Kind::Binary, 40),
    job("utf8", 64, Kind::Ascii, 40_000),
    job("utf8", 1024, Kind::Ascii, 20_000),
    job("utf8", 1024, Kind::Multi, 20_000),
    job("utf8", 1 << 20, Kind::Multi, 40),
];

impl Job {
    fn title(self) -> String {
        let kind = match self.kind {
            Kind::Binary => "",
            Kind::Ascii | Kind::Json => " text",
            Kind::Multi => " multi-byte text",
        };
        format!("{} {}{kind}", self.name, self.len)
    }

    /// Returns whether this is done by a client, and not by a part of the core.
    fn is_client(self) -> bool {
        matches!(self.name, "receive" | "send" | "send_all")
    }

    fn can(self, who: &str) -> bool {
        match who {
            "owned" => self.name == "receive",
            "tungstenite" => self.is_client(),
            "nexus-web" => !matches!(self.name, "send_all" | "utf8"),
            _ => true,
        }
    }
}

/// Messages of one `send_all`.
const BATCH: usize = 64;
/// Messages up to this length are checked.
const SHORT: usize = 64 << 10;
/// Keeps `rep movsb` and `rep stosb` out of the C library's copies: callgrind counts such an
/// instruction once for each byte, and 32 bytes of an ordinary copy as two.
const NO_REP: &str = "glibc.cpu.x86_rep_movsb_threshold=1000000000:\
                      glibc.cpu.x86_rep_stosb_threshold=1000000000";
/// The file that `--check` reads.
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => print(),
        ["--write"] => std::fs::write(FIGURES, figures()).unwrap(),
        ["--check"] => return check(),
        [who, name, len, kind, count] => {
            let message = Message::new(Kind::parse(kind).unwrap(), len.parse().unwrap());
            run(who, name, &message, count.parse().unwrap());
        }
        _ => {
            eprintln!("usage: instructions [--check | --write]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Prints all figures as a Markdown table.
fn print() {
    let columns = ["lent", "owned", "nexus-web", "tungstenite"];
    let row = |first: &str, cells: [String; 4]| {
        let cells = cells.map(|cell| format!("{cell:>15}"));
        println!("| {first:28} | {} |", cells.join(" | "));
    };
    let head = ["landline", "landline, owned", "nexus-web", "tungstenite"];
    row("instructions a message", head.map(str::to_owned));
    println!("| {} |{}", "-".repeat(28), " --------------: |".repeat(4));
    for job in JOBS {
        let cell = |who| if job.can(who) { count(who, job).to_string() } else { "–".to_owned() };
        row(&job.title(), columns.map(cell));
    }
}

/// Returns the figures of landline that are checked, one a line.
fn figures() -> String {
    let mut lines = String::new();
    for job in JOBS.into_iter().filter(|job| job.len <= SHORT) {
        let whose: &[_] = if job.name == "receive" { &["lent", "owned"] } else { &["lent"] };
        for &who in whose {
            let title = if whose.len() > 1 { job.title() + ", " + who } else { job.title() };
            lines += &format!("{title}: {}\n", count(who, job));
        }
    }
    lines
}

fn check() -> ExitCode {
    let (mut code, old) = (ExitCode::SUCCESS, std::fs::read_to_string(FIGURES).unwrap());
    let now = figures();
    for line in now.lines() {
        let (title, value) = figure(line);
        let Some((_, old)) = old.lines().map(figure).find(|old| old.0 == title) else {
            println!("{line}  IS NEW: --write the figures again");
            code = ExitCode::FAILURE;
            continue;
        };
        let grown = value * 100 > old * 105;
        println!("{line}{}", if grown { format!("  GREW from {old}") } else { String::new() });
        if grown {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn figure(line: &str) -> (&str, u64) {
    let (title, value) = line.rsplit_once(": ").unwrap();
    (title, value.parse().unwrap())
}

/// Returns the instructions that one message takes.
fn count(who: &str, job: Job) -> u64 {
    let (once, twice) = thread::scope(|scope| {
        let twice = scope.spawn(|| callgrind(who, job, 2 * job.count));
        (callgrind(who, job, job.count), twice.join().unwrap())
    });
    (twice - once) / job.count as u64
}

fn callgrind(who: &str, job: Job, count: usize) -> u64 {
    let output = Command::new("valgrind")
        .env("GLIBC_TUNABLES", NO_REP)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([who, job.name, &job.len.to_string(), job.kind.name(), &count.to_string()])
        .output()
        .expect("valgrind is needed");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{says}");
    let collected = says.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap().1.trim().parse().unwrap()
}

fn run(who: &str, name: &str, message: &Message, count: usize) {
    let frame = frame(if message.text.is_some() { 0x81 } else { 0x82 }, &message.bytes);
    let frames = frame.repeat(((64 << 10) / frame.len()).max(1));
    match (name, who) {
        ("decode", "nexus-web") => nexus_decode(&frames, message, count),
        ("encode", "nexus-web") => nexus_encode(message, count),
        ("mask", "nexus-web") => nexus_mask(message, count),
        ("decode", _) => decode(&frames, message, count),
        ("encode", _) => encode(message, count),
        ("mask", _) => mask(message, count),
        ("utf8", _) => utf8(message, count),
        (_, "nexus-web") => nexus_web(Memory::new(frames), name, message, count),
        (_, "tungstenite") => tungstenite(Memory::new(frames), name, message, count),
        _ => landline(Memory::new(frames), name, message, count, who == "owned"),
    }
}

fn landline(memory: Memory, name: &str, message: &Message, count: usize, owned: bool) {
    let mut ws = Builder::new().connect_over("ws://localhost", memory).unwrap();
    let len = message.bytes.len();
    let payload = match &message.text {
        Some(text) => MessageRef::Text(text),
        None => MessageRef::Binary(&message.bytes),
    };
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
        "send" => (0..count).for_each(|_| ws.send(payload).unwrap()),
        _ => (0..count / BATCH).for_each(|_| ws.send_all((0..BATCH).map(|_| payload)).unwrap()),
    }
    std::mem::forget(ws); // What closing costs is of no interest.
}

fn nexus_web(memory: Memory, name: &str, message: &Message, count: usize) {
    let builder = ClientBuilder::new().write_buffer_capacity(message.bytes.len() + (64 << 10));
    let mut ws = builder.connect_with(memory, "ws://localhost").unwrap();
    for _ in 0..count {
        match (name, &message.text) {
            ("receive", _) => {
                let received = ws.recv().unwrap().unwrap();
                assert_eq!(received.as_bytes().len(), message.bytes.len());
            }
            (_, Some(text)) => ws.send_text(text).unwrap(),
            (_, None) => ws.send_binary(&message.bytes).unwrap(),
        }
    }
}

fn tungstenite(memory: Memory, name: &str, message: &Message, count: usize) {
    let mut ws = tungstenite::client("ws://localhost", memory).unwrap().0;
    let payload = || match &message.text {
        Some(text) => TungsteniteMessage::Text(text.clone()),
        None => TungsteniteMessage::Binary(message.bytes.clone()),
    };
    match name {
        "receive" => {
            for _ in 0..count {
                assert_eq!(ws.read().unwrap().len(), message.bytes.len());
            }
        }
        "send" => (0..count).for_each(|_| ws.send(payload()).unwrap()),
        _ => {
            for _ in 0..count / BATCH {
                (0..BATCH).for_each(|_| ws.write(payload()).unwrap());
                ws.flush().unwrap();
            }
        }
    }
}

/// Parses messages with the core of landline.
fn decode(frames: &[u8], message: &Message, count: usize) {
    let mut decoder = Decoder::new(Limits::default());
    let (mut left, mut bytes) = (count, frames);
    while left > 0 {
        bytes = &bytes[decoder.feed(bytes)..];
        if bytes.is_empty() {
            bytes = frames;
        }
        while decoder.advance(DeliveryMode::Whole).unwrap().is_some() {
            let received = decoder.message().unwrap();
            assert_eq!(received.as_bytes().len(), message.bytes.len());
            left = left.saturating_sub(1);
        }
    }
}

/// Parses messages with the core of nexus-web.
fn nexus_decode(frames: &[u8], message: &Message, count: usize) {
    let mut reader = FrameReader::builder().role(Role::Client).build();
    let (mut left, mut bytes) = (count, frames);
    while left > 0 {
        let read = reader.read_from(&mut bytes).unwrap();
        assert!(read > 0);
        if bytes.is_empty() {
            bytes = frames;
        }
        while let Some(received) = reader.next().unwrap() {
            assert!(matches!(received, NexusMessage::Text(_) | NexusMessage::Binary(_)));
            assert_eq!(received.as_bytes().len(), message.bytes.len());
            left = left.saturating_sub(1);
        }
    }
}

fn encode(message: &Message, count: usize) {
    let mut encoder = Encoder::new(MaskKeys::new(|pool| {
        pool.fill(0x5A);
        Ok(())
    }));
    let mut out = Vec::with_capacity(message.bytes.len() + 16);
    for _ in 0..count {
        out.clear();
        let len = message.bytes.len() as u64;
        let mut body = encoder.begin(Opcode::Binary, true, len, &mut out).unwrap();
        body.append(black_box(&message.bytes), &mut out);
        black_box(&out);
    }
}

fn nexus_encode(message: &Message, count: usize) {
    let mut writer = FrameWriter::new(Role::Client);
    let mut out = vec![0; writer.max_encoded_len(message.bytes.len())];
    for _ in 0..count {
        let len = writer.encode_binary(black_box(&message.bytes), &mut out);
        black_box(&out[..len]);
    }
}

fn mask(message: &Message, count: usize) {
    let mut out = Vec::with_capacity(message.bytes.len());
    for _ in 0..count {
        out.clear();
        mask_into(&mut out, black_box(&message.bytes), black_box([1, 2, 3, 4]), 0);
        black_box(&out);
    }
}

/// Masks with nexus-web. It masks in place, so the payload is copied first, as a client does.
fn nexus_mask(message: &Message, count: usize) {
    let mut out = Vec::with_capacity(message.bytes.len());
    for _ in 0..count {
        out.clear();
        out.extend_from_slice(black_box(&message.bytes));
        apply_mask(&mut out, black_box([1, 2, 3, 4]));
        black_box(&out);
    }
}

fn utf8(message: &Message, count: usize) {
    let mut utf8 = Utf8::default();
    for _ in 0..count {
        utf8.check(black_box(&message.bytes)).unwrap();
        utf8.finish().unwrap();
    }
}
