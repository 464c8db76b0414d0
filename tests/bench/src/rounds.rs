//! The measurements, in rounds in which the contenders take turns, and the table of medians.

use std::time::Instant;

use tungstenite::Bytes;

use crate::client::{BATCH, Client, Target, Who};
use crate::wire::frame_len;

/// Names what is measured in one line of the table.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// `count` round trips of a message of 16 bytes.
    Echo { count: usize },
    /// `count` messages of `len` bytes from the server.
    Receive { len: usize, count: usize },
    /// The same as `Receive`, with landline's `recv` instead of `next_event`.
    ReceiveOwned { len: usize, count: usize },
    /// `count` messages of `len` bytes to the server, each handed to the system by itself.
    Send { len: usize, count: usize },
    /// `count` messages of `len` bytes to the server, [`BATCH`] at a time.
    SendBatch { len: usize, count: usize },
}

impl Task {
    fn label(self) -> String {
        match self {
            Self::Echo { .. } => "echo 16 B, us".to_owned(),
            Self::Receive { len, .. } => format!("receive {}", unit(len)),
            Self::ReceiveOwned { len, .. } => format!("receive {}, owned", unit(len)),
            Self::Send { len, .. } => format!("send {}", unit(len)),
            Self::SendBatch { len, .. } => format!("send {}, by {BATCH}", unit(len)),
        }
    }

    fn is_time(self) -> bool {
        matches!(self, Self::Echo { .. })
    }

    /// Returns the median time of a round trip, or the rate.
    pub fn run(self, target: &Target, who: Who) -> f64 {
        match self {
            Self::Echo { count } => echo(target, who, count),
            Self::Receive { len, count } => receive(target, who, len, count),
            Self::ReceiveOwned { len, count } => {
                let who = if who == Who::Landline { Who::LandlineRecv } else { who };
                receive(target, who, len, count)
            }
            Self::Send { len, count } => send(target, who, len, count, |client, payload| {
                (0..count).for_each(|_| client.send(payload));
            }),
            Self::SendBatch { len, count } => {
                let batches = count.div_ceil(BATCH);
                send(target, who, len, batches * BATCH, |client, payload| {
                    (0..batches).for_each(|_| client.send_batch(payload));
                })
            }
        }
    }
}

fn unit(len: usize) -> String {
    match len {
        0..1024 => format!("{len} B, M/s"),
        1024..1_048_576 => format!("{} KiB, MB/s", len >> 10),
        _ => format!("{} MiB, MB/s", len >> 20),
    }
}

/// Returns millions of messages a second for small messages, and megabytes a second for big ones.
fn rate(len: usize, count: usize, began: Instant) -> f64 {
    let amount = if len < 1024 { count } else { count * len };
    amount as f64 / began.elapsed().as_secs_f64() / 1e6
}

fn echo(target: &Target, who: Who, count: usize) -> f64 {
    let payload = Bytes::from(vec![7; 16]);
    let mut client = target.connect(who, "/echo/16");
    let mut trip = || {
        let began = Instant::now();
        client.send(&payload);
        client.receive(1, 16);
        began.elapsed().as_secs_f64() * 1e6
    };
    for _ in 0..count / 10 {
        trip();
    }
    let mut trips: Vec<f64> = (0..count).map(|_| trip()).collect();
    median(&mut trips)
}

fn receive(target: &Target, who: Who, len: usize, count: usize) -> f64 {
    let mut client = target.connect(who, &format!("/blast/{len}/{count}"));
    let began = Instant::now();
    client.send(&Bytes::from_static(b"go"));
    client.receive(count, len);
    rate(len, count, began)
}

fn send(
    target: &Target,
    who: Who,
    len: usize,
    count: usize,
    send: impl FnOnce(&mut dyn Client, &Bytes),
) -> f64 {
    let payload = Bytes::from(vec![7; len]);
    let mut client = target.connect(who, &format!("/swallow/{}", count * frame_len(len, true)));
    let began = Instant::now();
    send(&mut *client, &payload);
    // The server sends a message when it has all bytes.
    client.receive(1, 0);
    rate(len, count, began)
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures, and prints the table. The ratios are medians of the rounds' ratios. Above 1, landline
/// is the faster one.
pub fn play(target: &Target, tasks: &[Task], rounds: usize) {
    println!(
        "{:24} {:>10} {:>12} {:>10} {:>15} {:>8}",
        "", "landline", "tungstenite", "bare", "to tungstenite", "to bare"
    );
    for &task in tasks {
        let contenders = [Who::Landline, Who::Tungstenite, Who::Bare];
        let mut values = [const { Vec::new() }; 3];
        let mut ratios = [const { Vec::new() }; 3];
        for round in 0..=rounds {
            let mut now = [0.0; 3];
            for turn in 0..3 {
                // Another contender begins in each round, so that none always follows the same one.
                let at = (turn + round) % 3;
                now[at] = task.run(target, contenders[at]);
            }
            // The first round is for warming up, and does not count.
            if round > 0 {
                for at in 0..3 {
                    values[at].push(now[at]);
                    let ratio = now[0] / now[at];
                    ratios[at].push(if task.is_time() { 1.0 / ratio } else { ratio });
                }
            }
        }
        let [landline, tungstenite, bare] = values.each_mut().map(|values| median(values));
        let [_, to_tungstenite, to_bare] = ratios.each_mut().map(|ratios| median(ratios));
        println!(
            "{:24} {landline:>10.2} {tungstenite:>12.2} {bare:>10.2} {to_tungstenite:>15.2} \
             {to_bare:>8.2}",
            task.label()
        );
    }
}

/// Says how much to measure, and how often: all, or a tenth with `--quick`. `--only WORDS` measures
/// only the lines that begin with these words.
pub struct Plan {
    pub rounds: usize,
    part: usize,
    only: Option<String>,
}

impl Plan {
    /// Reads the plan from the command line.
    pub fn from_args() -> Self {
        let mut plan = Self { rounds: 9, part: 1, only: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match &arg[..] {
                "--quick" => (plan.rounds, plan.part) = (3, 10),
                "--only" => plan.only = args.next(),
                _ => {
                    eprintln!("usage: [--quick] [--only WORDS]");
                    std::process::exit(2);
                }
            }
        }
        plan
    }

    /// Returns `count`, or a tenth of it with `--quick`.
    pub fn count(&self, count: usize) -> usize {
        (count / self.part).max(1)
    }

    pub fn play(&self, target: &Target, tasks: &[Task]) {
        let wanted = |task: &&Task| {
            self.only.as_ref().is_none_or(|only| task.label().starts_with(&only[..]))
        };
        let tasks: Vec<Task> = tasks.iter().filter(wanted).copied().collect();
        play(target, &tasks, self.rounds);
    }
}
