//! Asks the system about this process, and runs the same program in another process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The size of a page on all machines that these programs run on.
const PAGE: usize = 4096;

/// Returns the number of bytes of resident memory.
pub fn resident() -> usize {
    // Linux 6.2 to 6.15 leaves up to 32 pages of each processor out of `statm`. It counts the pages
    // for this file, which not every kernel has.
    if let Ok(rollup) = fs::read_to_string("/proc/self/smaps_rollup") {
        return bytes_of(&rollup, "Rss:");
    }
    let statm = fs::read_to_string("/proc/self/statm").expect("this needs Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap() * PAGE
}

/// Returns the processor time of all threads of this process.
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// Keeps this thread, and those that it starts, on the core with this number of those that the
/// process may use. On a machine with one core, client and server share it.
pub fn pin(core: usize) {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let cores: Vec<usize> =
        (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(cores[core % cores.len()]).unwrap();
    sched_setaffinity(this, &one).unwrap();
}

/// Measures the most resident memory from one moment on.
pub struct PeakMemory {
    before: usize,
}

impl PeakMemory {
    pub fn start() -> Self {
        // Makes the system forget the peak before this moment.
        fs::write("/proc/self/clear_refs", "5").expect("this needs Linux");
        Self { before: resident() }
    }

    /// Returns the most bytes that were resident since the start, beyond those at the start.
    pub fn bytes(&self) -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        bytes_of(&status, "VmHWM:").saturating_sub(self.before)
    }
}

/// Returns the number of bytes that the line with this name says, in KiB.
fn bytes_of(lines: &str, name: &str) -> usize {
    let line = lines.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Returns the number of threads.
pub fn threads() -> usize {
    entries("/proc/self/task")
}

/// Returns the number of open file descriptors.
pub fn descriptors() -> usize {
    // One of them reads this directory.
    entries("/proc/self/fd") - 1
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("this needs Linux").count()
}

/// Runs a program in a process of its own, mostly this one with other arguments, so that its
/// memory, threads and descriptors do not count. Dropping this ends the process.
pub struct Another {
    child: Child,
    /// The first lines that the process printed, up to an empty line.
    pub said: Vec<String>,
}

impl Another {
    pub fn start(args: &[&str]) -> Self {
        Self::of(&std::env::current_exe().unwrap(), args)
    }

    /// Runs another program.
    pub fn of(program: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        Self { child, said }
    }

    /// Prints the empty line, and waits until the first process drops this one. The other process
    /// calls it.
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
