//! Runs what `one` runs, and counts the allocations.

use std::process::ExitCode;

use landline_bench::heap::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    landline_bench::worker::main()
}
