//! Memory and processor time of 1 to 1,000 connections.

use landline_bench::plan::{Plan, median};

use crate::plot::{Plot, Series};
use crate::runner::{Contender, Runner, Task};
use crate::table::{NONE, Table, bytes, time};

const COUNTS: [usize; 4] = [1, 10, 100, 1000];

pub fn report(plan: &Plan, runner: &Runner) {
    if !plan.wants("connections") {
        return;
    }
    println!("## Many connections\n");
    println!(
        "Plain connections that listen, and that the server sends a message of 16 bytes to, all at \
         once, again and again. Those that block have a thread each, with a stack of 64 KiB; those \
         with async are tasks of one thread.\n"
    );
    let rounds = plan.rounds.div_ceil(3);
    let contenders = Task::new("listen", 16, 1).contenders(runner);
    let mut figures = Vec::new();
    for count in COUNTS {
        eprintln!("{count} connections");
        let task = Task::new("listen", 16, count);
        let mut values = vec![[const { Vec::new() }; 2]; contenders.len()];
        for round in 0..rounds {
            for turn in 0..contenders.len() {
                let at = (turn + round) % contenders.len();
                let Some(figures) = runner.run(task, contenders[at]) else { continue };
                for (values, measure) in values[at].iter_mut().zip(["used", "cpu"]) {
                    values.push(figures[measure]);
                }
            }
        }
        let medians = values.into_iter().map(|values| {
            values.map(|mut values| (!values.is_empty()).then(|| median(&mut values)))
        });
        figures.push(medians.collect::<Vec<_>>());
    }
    part(plan, &contenders, &figures, 0, "memory", "Resident memory of each connection", bytes);
    part(plan, &contenders, &figures, 1, "cpu", "Processor time for each message", time);
}

/// Prints a table and draws an SVG of one measure.
fn part(
    plan: &Plan,
    contenders: &[Contender],
    figures: &[Vec<[Option<f64>; 2]>],
    measure: usize,
    file: &str,
    title: &str,
    show: fn(f64) -> String,
) {
    let names = contenders.iter().map(|who| who.name().to_owned());
    let mut table = Table::new(["connections".to_owned()].into_iter().chain(names));
    for (count, row) in COUNTS.iter().zip(figures) {
        let cells = row.iter().map(|values| values[measure].map_or(NONE.to_owned(), show));
        table.row([count.to_string()].into_iter().chain(cells).collect());
    }
    table.print(title, "");

    let (unit, y) = match measure {
        0 => (1024.0, "KiB for each connection"),
        _ => (1000.0, "µs of the client's processor for each message"),
    };
    let series = contenders.iter().enumerate().map(|(at, who)| {
        let points = COUNTS
            .iter()
            .zip(figures)
            .filter_map(|(&count, row)| Some((count as f64, row[at][measure]? / unit)));
        Series { name: who.name().to_owned(), points: points.collect() }
    });
    Plot {
        title: title.to_owned(),
        x: "connections".to_owned(),
        y: y.to_owned(),
        series: series.collect(),
    }
    .write(plan, file);
}
