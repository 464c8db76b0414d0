//! What the system says about this process, and the same program in another process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// What Linux uses everywhere that these programs run.
const PAGE: usize = 4096;

/// Resident memory in bytes.
pub fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("this needs Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap() * PAGE
}

/// How many threads there are.
pub fn threads() -> usize {
    entries("/proc/self/task")
}

/// How many file descriptors are open.
pub fn descriptors() -> usize {
    // One is for reading this very directory.
    entries("/proc/self/fd") - 1
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("this needs Linux").count()
}

/// This program with these arguments, in a process of its own: its memory, threads and
/// descriptors do not count. It ends when this is dropped.
pub struct Another {
    child: Child,
    /// What it said first, up to an empty line.
    pub said: Vec<String>,
}

impl Another {
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        Self { child, said }
    }

    /// What the other process does after it has spoken: it waits until nobody needs it.
    pub fn wait_until_dropped() {
        println!();
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
