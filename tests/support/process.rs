//! Asks the system about this process, and runs a test in a process of its own. On Linux.

use std::process::{Command, Output};
use std::time::Duration;

use super::PROMPT;

/// Returns the user and system time of the calling thread, in the kernel's ticks of 10 ms.
pub fn cpu_of_this_thread() -> Duration {
    cpu(&std::fs::read_to_string("/proc/thread-self/stat").unwrap())
}

/// Returns the user and system time in the text of a file `stat` of a thread or a process.
pub fn cpu(stat: &str) -> Duration {
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Returns the number of open files and sockets.
pub fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the number of open sockets. What the C library opens for a moment in any thread does not
/// count, as it does for [`open_files`]: the allocator reads a file to learn the number of
/// processors.
pub fn open_sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    // A file may be closed while its name is read.
    let names = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
}

/// Returns the number of threads.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until `count` returns `expected`. Returns what it returned last.
///
/// A thread that ends may be counted no more and still keep its files, and a listing of threads
/// may end at it.
pub fn settled<T: PartialEq>(expected: T, count: impl Fn() -> T) -> T {
    let start = std::time::Instant::now();
    loop {
        let now = count();
        if now == expected || start.elapsed() > PROMPT * 4 {
            return now;
        }
        std::thread::yield_now();
    }
}

/// Returns a command that runs one test of this program alone in a process of its own. The shell
/// runs `before` first, `ulimit -n 64` for example. [`value`] returns `value` to the test.
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

/// Returns the value that [`again`] was given, in the process that it started.
pub fn value() -> Option<String> {
    std::env::var(VALUE).ok()
}

/// Checks that the test passed in the other process.
pub fn passed(output: &Output) {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}
