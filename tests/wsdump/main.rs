//! The tests of the command-line tool, as a person or a script uses it: with pipes, in a
//! pseudo-terminal, and against servers that misbehave. They use what only Unix has: signals,
//! `yes`, bash.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod listen;
mod options;
mod output;
mod pipes;
#[cfg(any(target_os = "linux", target_os = "macos"))] // The pseudo-terminals of rexpect.
mod plain_terminal;
#[cfg(any(target_os = "linux", target_os = "macos"))]
mod prompt;
mod recipes;
mod scripts;
mod statuses;
mod tool;
mod usage;

#[path = "../support/mod.rs"]
mod support;
