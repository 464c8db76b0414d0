//! Prints the figures as Markdown.

use crate::contender::THREADS;
use crate::rounds::Figures;
use crate::transport::{On, Program};

/// Is how the values of a row are shown.
#[derive(Clone, Copy)]
enum Show {
    /// Microseconds: the median, and what one in a hundred exceeds.
    Latency,
    /// Microseconds: the median, and the longest.
    Longest,
    /// Microseconds: the median.
    Median,
    /// Microseconds that each took, on a number of threads: how many there were in a second.
    Rate(u64),
    /// A number: the median.
    Number,
}

const BROWSER: [(&str, &str, Show); 7] = [
    ("a call, 0 to 20 ms after the last: p50 / p99", "paused", Show::Latency),
    ("the same, while an event comes each 10 ms: p50 / p99", "watched", Show::Latency),
    ("calls a second, of one thread, without pauses", "one", Show::Rate(1)),
    ("calls a second, of four threads, without pauses", "threads", Show::Rate(THREADS)),
    ("idle: wake-ups a second", "wakes", Show::Number),
    ("idle: processor time a second", "cpu", Show::Median),
    ("to stop: median / longest", "stops", Show::Longest),
];
const GUI: [(&str, &str, Show); 6] = [
    ("from a message to its answer: p50 / p99", "answers", Show::Latency),
    ("100 messages at once, until the server has all: median", "burst", Show::Median),
    ("`send` alone, on the GUI thread: p50 / p99", "sends", Show::Latency),
    ("idle: wake-ups a second", "wakes", Show::Number),
    ("idle: processor time a second", "cpu", Show::Median),
    ("to stop: median / longest", "stops", Show::Longest),
];

pub fn print(figures: &Figures) {
    print_one(figures, Program::Browser, "browser driver", &BROWSER);
    println!();
    print_one(figures, Program::Gui, "GUI client", &GUI);
}

fn print_one(figures: &Figures, program: Program, title: &str, rows: &[(&str, &str, Show)]) {
    println!("| {title} | on tungstenite | on landline |\n|---|---|---|");
    for &(row, name, show) in rows {
        let [tungstenite, landline] = On::ALL.map(|on| show.cell(figures.of(program, on, name)));
        println!("| {row} | {tungstenite} | {landline} |");
    }
}

impl Show {
    /// Shows values in ascending order.
    fn cell(self, values: &[f64]) -> String {
        let rank = |part: f64| values[((values.len() - 1) as f64 * part).ceil() as usize];
        match self {
            Self::Latency => format!("{} / {}", time(rank(0.5)), time(rank(0.99))),
            Self::Longest => format!("{} / {}", time(rank(0.5)), time(rank(1.0))),
            Self::Median => time(rank(0.5)),
            Self::Rate(threads) => {
                let seconds = values.iter().sum::<f64>() / 1e6 / threads as f64;
                format!("{:.0}", values.len() as f64 / seconds)
            }
            Self::Number => format!("{:.1}", rank(0.5)),
        }
    }
}

/// Shows microseconds with three digits.
fn time(microseconds: f64) -> String {
    let (value, unit) = match microseconds {
        under if under < 999.5 => (under, "µs"),
        under if under < 999_500.0 => (under / 1e3, "ms"),
        over => (over / 1e6, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}
