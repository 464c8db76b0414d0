//! What the system says of this process; and this process again, under other limits. On Linux.

use std::process::{Command, Output};
use std::time::Duration;

/// User and system time of the calling thread, in the kernel's ticks of 10 ms.
pub fn cpu_of_this_thread() -> Duration {
    cpu(&std::fs::read_to_string("/proc/thread-self/stat").unwrap())
}

/// The same of the thread that this is the `stat` of.
pub fn cpu(stat: &str) -> Duration {
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// How many files and sockets are open.
pub fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many threads run.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Runs one test of this binary alone in a process of its own, after `before`, which the shell
/// does: `ulimit -n 64`, for example. The test finds `value` in [`value`].
pub fn again(test: &str, before: &str, value: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(VALUE, value);
    shell
}

const VALUE: &str = "LANDLINE_TEST_AGAIN";

/// What [`again`] was given, in the process that it started.
pub fn value() -> Option<String> {
    std::env::var(VALUE).ok()
}

/// The test went well there.
pub fn passed(output: &Output) {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}
