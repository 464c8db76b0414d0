//! Measures the transports of two programs, a browser driver and a GUI client, as they are on
//! tungstenite and as they would be on landline. `README.md` says how, and what the figures mean.

mod browser;
mod contender;
// The bench has other uses for the rest of it.
#[allow(dead_code)]
#[path = "../../bench/src/process.rs"]
mod process;
mod rounds;
mod server;
mod table;
mod transport;

use std::process::ExitCode;
use std::time::Duration;

use contender::Plan;
use rounds::Figures;
use transport::{On, Program};

const USAGE: &str = "usage: ports [--quick]";

const FULL: Plan = Plan {
    calls: Duration::from_secs(3),
    // Longer than the interval of keepalive pings, so that one is among what is measured.
    idle: Duration::from_secs(25),
    stops: 10,
};
const QUICK: Plan =
    Plan { calls: Duration::from_millis(500), idle: Duration::from_secs(3), stops: 2 };

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => {
            let figures = rounds::measure("full", 3);
            table::print(&figures);
        }
        ["--quick"] => {
            let figures = rounds::measure("quick", 1);
            table::print(&figures);
            return check(&figures);
        }
        // The processes that this program starts.
        ["serve"] => server::serve(),
        ["contend", program, on, url, plan] => {
            let plan = if plan == "quick" { QUICK } else { FULL };
            let (program, on) = (Program::parse(program).unwrap(), On::parse(on).unwrap());
            contender::run(program, on, url, plan);
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Checks what does not depend on the speed of the machine. That each result is right is checked
/// by the contenders.
fn check(figures: &Figures) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for program in Program::ALL {
        let [tungstenite, landline] = On::ALL.map(|on| figures.of(program, on, "wakes")[0]);
        if landline >= 1.0 {
            eprintln!(
                "{program}: on landline an idle connection wakes {landline:.1} times a second"
            );
            code = ExitCode::FAILURE;
        }
        if tungstenite <= 5.0 {
            eprintln!("{program}: on tungstenite only {tungstenite:.1} wake-ups a second are seen");
            code = ExitCode::FAILURE;
        }
    }
    code
}
