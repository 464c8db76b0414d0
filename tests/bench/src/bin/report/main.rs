//! Measures landline beside its peers, prints Markdown tables, and draws the SVGs. The script
//! `report` builds all it needs and runs it.

mod connections;
mod counts;
mod plot;
mod rates;
mod runner;
mod table;

use std::process::ExitCode;

use landline_bench::plan::Plan;

use runner::Runner;

fn main() -> ExitCode {
    let plan = Plan::from_args();
    let runner = Runner::start();
    runner.verify(&plan);
    rates::report(&plan, &runner);
    counts::report(&plan, &runner);
    connections::report(&plan, &runner);
    if runner.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
