//! Runs one task of one contender once, also under `perf`, `strace -f` or `valgrind`. See
//! `landline_bench::worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    landline_bench::worker::main()
}
