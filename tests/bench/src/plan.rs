//! Says how much is measured, and takes medians of it.

/// Says how much to measure, and how often: all, or a part with `--quick`. `--only WORDS` measures
/// only what has these words in its title.
pub struct Plan {
    pub rounds: usize,
    pub quick: bool,
    only: Option<String>,
}

/// The part that `--quick` measures, as a divisor.
const QUICK: usize = 5;

impl Plan {
    /// Reads the plan from the command line.
    pub fn from_args() -> Self {
        let mut plan = Self { rounds: 9, quick: false, only: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match &arg[..] {
                "--quick" => (plan.rounds, plan.quick) = (3, true),
                "--only" => plan.only = args.next(),
                _ => {
                    eprintln!("usage: [--quick] [--only WORDS]");
                    std::process::exit(2);
                }
            }
        }
        plan
    }

    /// Returns `count`, or a part of it with `--quick`.
    pub fn count(&self, count: usize) -> usize {
        (count / if self.quick { QUICK } else { 1 }).max(1)
    }

    /// Returns whether everything is measured, as well as it can be.
    pub fn is_full(&self) -> bool {
        !self.quick && self.only.is_none()
    }

    /// Returns whether to measure what has this title.
    pub fn wants(&self, title: &str) -> bool {
        self.only.as_ref().is_none_or(|only| title.contains(&only[..]))
    }
}

/// Returns the median, and sorts the values. There must be one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
