//! Time for a message, in rounds in which the contenders take turns.

use std::collections::HashMap;

use landline_bench::contender::Transport;
use landline_bench::message::Kind;
use landline_bench::plan::{Plan, median};

use crate::plot::{Plot, Series};
use crate::runner::{BARE, Contender, LANDLINE, OWNED, Runner, Task};
use crate::table::{NONE, Table, bytes, size, time};

const SIZES: [usize; 7] = [16, 125, 1 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20];
/// The sizes of text that are sent, and that `--quick` receives.
const SOME_SIZES: [usize; 2] = [125, 1 << 20];
/// The messages of one run have at most this many bytes together.
const BYTES: usize = 128 << 20;
const LONG: usize = 16 << 20;

/// Is the figures of one task: of each contender, the medians, and the median of the rounds' ratios
/// of landline to it.
pub struct Row {
    task: Task,
    medians: HashMap<(Contender, &'static str), f64>,
    /// For landline with lent and with returned messages.
    ratios: HashMap<(Contender, Contender, &'static str), f64>,
}

const MEASURES: [&str; 6] = ["cpu", "wall", "p50", "p99", "p999", "peak"];

impl Row {
    /// Measures the task, unless the plan leaves it out.
    pub fn measure(plan: &Plan, runner: &Runner, title: &str, task: Task) -> Option<Self> {
        if !plan.wants(title) {
            return None;
        }
        eprintln!("{title}");
        let contenders = task.contenders(runner);
        let mut values: HashMap<(Contender, &'static str), Vec<f64>> = HashMap::new();
        let mut ratios: HashMap<(Contender, Contender, &'static str), Vec<f64>> = HashMap::new();
        let rounds = if task.len >= LONG { plan.rounds.div_ceil(3) } else { plan.rounds };
        for round in 0..rounds {
            let mut now = HashMap::new();
            for turn in 0..contenders.len() {
                // Another one begins in each round, so that none always follows the same one.
                let who = contenders[(turn + round) % contenders.len()];
                now.extend(runner.run(task, who).map(|figures| (who, figures)));
            }
            for (&who, figures) in &now {
                for measure in MEASURES {
                    let Some(&value) = figures.get(measure) else { continue };
                    values.entry((who, measure)).or_default().push(value);
                    for ours in [LANDLINE, OWNED] {
                        if let Some(our) = now.get(&ours).map(|figures| figures[measure]) {
                            ratios.entry((ours, who, measure)).or_default().push(our / value);
                        }
                    }
                }
            }
        }
        let medians = values.into_iter().map(|(key, mut values)| (key, median(&mut values)));
        let ratios = ratios.into_iter().map(|(key, mut values)| (key, median(&mut values)));
        Some(Self { task, medians: medians.collect(), ratios: ratios.collect() })
    }

    fn get(&self, who: Contender, measure: &'static str) -> Option<f64> {
        self.medians.get(&(who, measure)).copied()
    }

    /// Returns the ratio of `ours` to the peer that beats it by most, of those that are wanted.
    fn to_best(
        &self,
        ours: Contender,
        measure: &'static str,
        wanted: impl Fn(Contender) -> bool,
    ) -> String {
        let peers = Contender::all().into_iter().filter(|&who| who.is_peer() && wanted(who));
        let ratios = peers.filter_map(|who| Some((who, *self.ratios.get(&(ours, who, measure))?)));
        match ratios.max_by(|(_, a), (_, b)| a.total_cmp(b)) {
            Some((who, value)) => format!("{} {}", ratio(value), who.name()),
            None => NONE.to_owned(),
        }
    }

    fn to_bare(&self, measure: &'static str) -> String {
        self.ratios.get(&(LANDLINE, BARE, measure)).map_or(NONE.to_owned(), |&value| ratio(value))
    }
}

/// Losses are bold.
fn ratio(value: f64) -> String {
    if value > 1.005 { format!("**{value:.2}**") } else { format!("{value:.2}") }
}

pub fn report(plan: &Plan, runner: &Runner) {
    println!("## Rates\n");
    println!(
        "Time that the client takes for a message: of its processor, and of the clock. Medians of \
         {} rounds. Each ratio is landline's time to that of the peer that is fastest against it, \
         as the median of the rounds' ratios: below 1 landline is faster, and losses are bold.\n",
        plan.rounds
    );
    for transport in [Transport::Plain, Transport::Tls] {
        let mut rows = Vec::new();
        for kind in [Kind::Binary, Kind::Ascii, Kind::Multi] {
            for &len in sizes(plan, kind) {
                let count = plan.count(600_000.min(BYTES / len)).max(2);
                let task = Task::new("receive", len, count).kind(kind).on(transport);
                rows.extend(Row::measure(plan, runner, &title(task), task));
            }
        }
        times(&rows, &format!("Receive, {}", words(transport)), true);
        peak(&rows, &format!("Peak memory while receiving, {}", words(transport)));
        if transport == Transport::Plain {
            rates(plan, &rows, "receive", "Receiving binary messages");
        }

        let mut rows = Vec::new();
        for kind in [Kind::Binary, Kind::Ascii] {
            let lens = if kind == Kind::Binary { sizes(plan, kind) } else { &SOME_SIZES };
            for &len in lens {
                let count = plan.count(12_000.min(BYTES / len)).max(2);
                let task = Task::new("send", len, count).kind(kind).on(transport);
                rows.extend(Row::measure(plan, runner, &title(task), task));
            }
        }
        let singles = rows.len();
        for len in [16, 125, 1 << 10] {
            let count = plan.count(300_000.min(BYTES / len));
            let task = Task::new("batch", len, count).on(transport);
            rows.extend(Row::measure(plan, runner, &title(task), task));
        }
        times(&rows, &format!("Send, {}", words(transport)), false);
        peak(&rows, &format!("Peak memory while sending, {}", words(transport)));
        if transport == Transport::Plain {
            rates(plan, &rows[..singles], "send", "Sending binary messages one by one");
        }
    }

    for (name, heading) in [("receive", "Receive, compressed"), ("send", "Send, compressed")] {
        let mut rows = Vec::new();
        for (len, count) in [(125, 20_000), (1 << 10, 8000), (64 << 10, 160), (1 << 20, 10)] {
            let task = Task::new(name, len, plan.count(count).max(2));
            let task = task.kind(Kind::Json).on(Transport::Deflate);
            rows.extend(Row::measure(plan, runner, &title(task), task));
        }
        times(&rows, heading, name == "receive");
    }

    echo(plan, runner);
    connect(plan, runner);
}

fn sizes(plan: &Plan, kind: Kind) -> &'static [usize] {
    match (plan.quick, kind) {
        (false, _) => &SIZES,
        (true, Kind::Binary) => &SIZES[..SIZES.len() - 1],
        (true, _) => &SOME_SIZES,
    }
}

fn title(task: Task) -> String {
    let verb = if task.name == "batch" { "send by 64" } else { task.name };
    format!("{verb} {} {} {}", size(task.len), task.kind.name(), task.transport.name())
}

fn words(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "plain TCP",
        Transport::Tls => "TLS 1.3",
        Transport::Deflate => "compressed",
    }
}

fn columns(rows: &[Row], measure: &'static str) -> Vec<Contender> {
    let all = Contender::all().into_iter();
    all.filter(|&who| rows.iter().any(|row| row.get(who, measure).is_some())).collect()
}

fn names(columns: &[Contender]) -> impl Iterator<Item = String> {
    columns.iter().map(|who| who.name().replace("-owned", ", owned"))
}

/// Prints a table for processor time and one for the clock.
fn times(rows: &[Row], heading: &str, receives: bool) {
    for (measure, what) in [("cpu", "processor time of the client"), ("wall", "time")] {
        let columns = columns(rows, measure);
        let ratios: &[&str] = match receives {
            true => &["lent: to best", "owned: to best", "to bare"],
            false => &["to best", "to bare"],
        };
        let head = ["message".to_owned()].into_iter().chain(names(&columns));
        let mut table = Table::new(head.chain(ratios.iter().map(|&name| name.to_owned())));
        for row in rows {
            let kind = match (row.task.kind, row.task.name) {
                (Kind::Binary, "batch") => ", by 64",
                (Kind::Binary, _) => "",
                (Kind::Ascii, _) => " of ASCII text",
                (Kind::Multi, _) => " of multi-byte text",
                (Kind::Json, _) => " of JSON",
            };
            let mut cells = vec![format!("{}{kind}", size(row.task.len))];
            cells.extend(columns.iter().map(|&who| cell(row.get(who, measure), time)));
            if receives {
                cells.push(row.to_best(LANDLINE, measure, Contender::lends));
                cells.push(row.to_best(OWNED, measure, |who| !who.lends()));
            } else {
                cells.push(row.to_best(LANDLINE, measure, |_| true));
            }
            cells.push(row.to_bare(measure));
            table.row(cells);
        }
        table.print(&format!("{heading}: {what}"), "");
    }
}

fn cell(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or(NONE.to_owned(), show)
}

/// Prints the memory that long messages take.
fn peak(rows: &[Row], heading: &str) {
    let columns = columns(rows, "peak");
    let mut table = Table::new(["message".to_owned()].into_iter().chain(names(&columns)));
    let binary = rows.iter().filter(|row| row.task.kind == Kind::Binary && row.task.len >= 1 << 20);
    for row in binary {
        let mut cells = vec![size(row.task.len)];
        cells.extend(columns.iter().map(|&who| cell(row.get(who, "peak"), bytes)));
        table.row(cells);
    }
    table.print(heading, "Resident memory beyond that before the connection is opened.");
}

/// Draws bytes a second of processor time against the size.
fn rates(plan: &Plan, rows: &[Row], file: &str, title: &str) {
    let binary: Vec<_> = rows.iter().filter(|row| row.task.kind == Kind::Binary).collect();
    if binary.len() < SIZES.len() - 1 {
        return;
    }
    let series = columns(rows, "cpu").into_iter().map(|who| {
        let points = binary.iter().filter_map(|row| {
            let len = row.task.len as f64;
            Some((len, len * 1e3 / row.get(who, "cpu")?))
        });
        Series { name: who.name().replace("-owned", ", owned"), points: points.collect() }
    });
    Plot {
        title: title.to_owned(),
        x: "bytes of a message".to_owned(),
        y: "MB for each second of the client's processor".to_owned(),
        series: series.collect(),
    }
    .write(plan, file);
}

fn echo(plan: &Plan, runner: &Runner) {
    let mut rows = Vec::new();
    for transport in [Transport::Plain, Transport::Tls] {
        for (len, count) in [(16, 5000), (1 << 10, 5000), (64 << 10, 1000)] {
            let task = Task::new("echo", len, plan.count(count)).on(transport);
            rows.extend(Row::measure(plan, runner, &title(task), task));
        }
    }
    let columns = columns(&rows, "p50");
    let head = ["round trip".to_owned()].into_iter().chain(names(&columns));
    let mut table = Table::new(head.chain(["to best".to_owned(), "to bare".to_owned()]));
    for row in &rows {
        for (measure, name) in [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")] {
            let transport = words(row.task.transport);
            let mut cells = vec![format!("{}, {transport}, {name}", size(row.task.len))];
            cells.extend(columns.iter().map(|&who| cell(row.get(who, measure), time)));
            cells.push(row.to_best(LANDLINE, measure, |_| true));
            cells.push(row.to_bare(measure));
            table.row(cells);
        }
    }
    table.print("Echo", "");
}

fn connect(plan: &Plan, runner: &Runner) {
    let tasks = [
        ("plain TCP", Task::new("connect", 0, plan.count(500))),
        ("TLS 1.3, full handshake", Task::new("connect", 0, plan.count(150)).on(Transport::Tls)),
        ("TLS 1.3, resumed", Task::new("resume", 0, plan.count(150)).on(Transport::Tls)),
    ];
    let measured = tasks.map(|(name, task)| {
        Row::measure(plan, runner, &format!("connect and close {name}"), task)
            .map(|row| (name, row))
    });
    let (names_of_rows, rows): (Vec<_>, Vec<_>) = measured.into_iter().flatten().unzip();
    let columns = columns(&rows, "cpu");
    let head = ["connect and close".to_owned()].into_iter().chain(names(&columns));
    let mut table = Table::new(head.chain(["to best".to_owned(), "to bare".to_owned()]));
    for (name, row) in names_of_rows.iter().zip(&rows) {
        for (measure, what) in [("cpu", "processor"), ("wall", "clock")] {
            let mut cells = vec![format!("{name}, {what}")];
            cells.extend(columns.iter().map(|&who| cell(row.get(who, measure), time)));
            cells.push(row.to_best(LANDLINE, measure, |_| true));
            cells.push(row.to_bare(measure));
            table.row(cells);
        }
    }
    table.print("Connect and close", "");
}
