//! Runs one task of one contender once, under `perf`, `strace -f` or `valgrind`.

use std::process::ExitCode;

use landline_bench::client::{Target, Who};
use landline_bench::rounds::Task;
use landline_bench::server;

const USAGE: &str = "usage: one landline|landline-recv|tungstenite|bare \
                     echo|receive|send|batch LEN COUNT [tls]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(value) = run(&args) {
        println!("{value:.2}");
        return ExitCode::SUCCESS;
    }
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn run(args: &[String]) -> Option<f64> {
    let (args, tls) = match args {
        [args @ .., last] if last == "tls" => (args, true),
        _ => (args, false),
    };
    let [who, task, len, count] = args else { return None };
    let who = match &who[..] {
        "landline" => Who::Landline,
        "landline-recv" => Who::LandlineRecv,
        "tungstenite" => Who::Tungstenite,
        "bare" => Who::Bare,
        _ => return None,
    };
    let (len, count) = (len.parse().ok()?, count.parse().ok()?);
    let task = match &task[..] {
        "echo" => Task::Echo { count },
        "receive" => Task::Receive { len, count },
        "send" => Task::Send { len, count },
        "batch" => Task::SendBatch { len, count },
        _ => return None,
    };
    let target = if tls {
        let (address, config) = server::tls();
        Target { address, tls: Some(config) }
    } else {
        Target { address: server::plain(), tls: None }
    };
    Some(task.run(&target, who))
}
