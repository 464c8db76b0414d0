//! Runs the contenders, each in a process of its own, and gathers what they print.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::process::Another;
use crate::transport::{On, Program};

/// Holds the values of all rounds.
pub struct Figures(HashMap<(String, String, String), Vec<f64>>);

/// Measures all contenders in turn, in a number of rounds. Another one begins in each round.
pub fn measure(plan: &str, rounds: usize) -> Figures {
    let server = Another::start(&["serve"]);
    let mut contenders: Vec<(Program, On)> =
        Program::ALL.into_iter().flat_map(|program| On::ALL.map(|on| (program, on))).collect();
    let mut figures = Figures(HashMap::new());
    for round in 1..=rounds {
        for &(program, on) in &contenders {
            eprintln!("round {round} of {rounds}: {program}, {on}");
            let lines = contend(&[&program.to_string(), &on.to_string(), &server.said[0], plan]);
            figures.add(program, on, &lines);
        }
        contenders.rotate_left(1);
    }
    figures
}

/// Runs a contender, and returns what it printed.
fn contend(args: &[&str]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("contend").args(args).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "contend {}: {}", args.join(" "), output.status);
    String::from_utf8(output.stdout).unwrap()
}

impl Figures {
    fn add(&mut self, program: Program, on: On, lines: &str) {
        for line in lines.lines() {
            let (name, values) = line.split_once('=').expect("a contender prints NAME=VALUES");
            let all = self.0.entry(key(program, on, name)).or_default();
            all.extend(values.split(' ').map(|value| value.parse::<f64>().unwrap()));
            all.sort_by(f64::total_cmp);
        }
    }

    /// Returns all values with this name, in ascending order.
    pub fn of(&self, program: Program, on: On, name: &str) -> &[f64] {
        &self.0[&key(program, on, name)]
    }
}

fn key(program: Program, on: On, name: &str) -> (String, String, String) {
    (program.to_string(), on.to_string(), name.to_owned())
}
