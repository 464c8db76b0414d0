//! The tests of the command-line tool, as a person or a script uses it: with pipes, in a
//! pseudo-terminal, and against servers that misbehave. What needs signals, a pseudo-terminal or a
//! shell runs on Unix only.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod listen;
mod options;
mod output;
mod pipes;
#[cfg(any(target_os = "linux", target_os = "macos"))] // The pseudo-terminals of rexpect.
mod plain_terminal;
#[cfg(any(target_os = "linux", target_os = "macos"))]
mod prompt;
#[cfg(unix)]
mod recipes;
mod scripts;
#[cfg(unix)]
mod special_files;
mod statuses;
mod tool;
mod usage;

#[path = "../support/mod.rs"]
mod support;
