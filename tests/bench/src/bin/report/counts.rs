//! Counts system calls and allocations, and measures calls that do not wait.

use landline_bench::contender::Transport;
use landline_bench::plan::Plan;

use crate::runner::{Contender, Runner, Task};
use crate::table::{NONE, Table, digits, size, time};

/// Counts of this many messages, and of twice as many, are compared.
fn tasks() -> Vec<(String, Task)> {
    let task = |name: &str, task: Task| (format!("{name} {}", size(task.len)), task);
    vec![
        task("receive", Task::new("receive", 16, 20_000)),
        task("receive", Task::new("receive", 1 << 10, 5000)),
        task("receive", Task::new("receive", 64 << 10, 500)),
        task("receive", Task::new("receive", 1 << 20, 40)),
        task("receive", Task::new("receive", 16 << 20, 4)),
        task("send", Task::new("send", 16, 1000)),
        task("send by 64,", Task::new("batch", 16, 6400)),
        task("send", Task::new("send", 1 << 20, 40)),
        task("send", Task::new("send", 16 << 20, 4)),
        task("TLS: receive", Task::new("receive", 16, 20_000).on(Transport::Tls)),
        task("TLS: receive", Task::new("receive", 1 << 20, 40).on(Transport::Tls)),
        task("TLS: send", Task::new("send", 16, 1000).on(Transport::Tls)),
        task("TLS: send", Task::new("send", 1 << 20, 40).on(Transport::Tls)),
        task("echo", Task::new("echo", 16, 500)),
        ("connect and close".to_owned(), Task::new("connect", 0, 50)),
        ("TLS: connect and close".to_owned(), Task::new("connect", 0, 20).on(Transport::Tls)),
        ("poll, nothing comes".to_owned(), Task::new("poll", 16, 1000)),
    ]
}

pub fn report(plan: &Plan, runner: &Runner) {
    println!("## Counts and limits\n");
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        println!("**System calls were not counted: there is no strace.**\n");
        eprintln!("SYSTEM CALLS ARE LEFT OUT: there is no strace");
    } else {
        table(
            plan,
            "system calls",
            "System calls for a message",
            |task, who| {
                let twice = Task { count: 2 * task.count, ..task };
                let (one, two) =
                    (runner.system_calls(task, who)?, runner.system_calls(twice, who)?);
                // The warm-up is a tenth of the messages.
                let warm = if task.name == "connect" || task.name == "poll" { 1.0 } else { 1.1 };
                Some(((two - one) / (task.count as f64 * warm)).max(0.0))
            },
            runner,
        );
    }
    table(
        plan,
        "allocations",
        "Allocations for a message",
        |task, who| {
            if who.is_beast() {
                return None;
            }
            runner.run_counted(task, who)?.get("allocations").copied()
        },
        runner,
    );
    polls(plan, runner);
}

/// Prints one figure of each task and contender.
fn table(
    plan: &Plan,
    title: &str,
    heading: &str,
    count: impl Fn(Task, Contender) -> Option<f64>,
    runner: &Runner,
) {
    if !plan.wants(title) {
        return;
    }
    let columns: Vec<_> = Contender::all();
    let names = columns.iter().map(|who| who.name().replace("-owned", ", owned"));
    let mut table = Table::new([String::new()].into_iter().chain(names));
    for (name, task) in tasks() {
        eprintln!("{title}: {name}");
        let contenders = task.contenders(runner);
        let cells = columns.iter().map(|&who| {
            let value = if contenders.contains(&who) { count(task, who) } else { None };
            value.map_or(NONE.to_owned(), digits)
        });
        table.row([name].into_iter().chain(cells).collect());
    }
    table.print(heading, "");
}

/// Calls that do not wait: landline's `try_recv`, and reading from a non-blocking socket.
fn polls(plan: &Plan, runner: &Runner) {
    if !plan.wants("poll") {
        return;
    }
    eprintln!("poll");
    let idle = Task::new("poll", 16, plan.count(100_000));
    let stream = Task::new("stream", 64 << 20, 1);
    let mut table = Table::new([
        "a call that does not wait",
        "nothing comes",
        "longest while 64 MiB come, processor",
        "longest, clock",
    ]);
    for who in idle.contenders(runner) {
        let median = |task: Task, measure: &str| {
            let runs =
                (0..plan.rounds).filter_map(|_| runner.run(task, who)?.get(measure).copied());
            let mut values: Vec<f64> = runs.collect();
            match values.is_empty() {
                true => NONE.to_owned(),
                false => time(landline_bench::plan::median(&mut values)),
            }
        };
        table.row(vec![
            who.name().to_owned(),
            median(idle, "cpu"),
            median(stream, "cpu"),
            median(stream, "wall"),
        ]);
    }
    table.print(
        "Polling",
        "landline's `try_recv`, and reading from a non-blocking socket, with 1 ms between two \
         calls while the long message comes. Medians of the rounds.",
    );
}
