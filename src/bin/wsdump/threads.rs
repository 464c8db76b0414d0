//! The threads of the tool.

use std::process;
use std::thread;

use crate::exit::Status;
use crate::keyboard;
use crate::notes::Notes;

/// Starts a thread that ends with the program. If the system has none left, says so and ends the
/// program: nothing works without its threads.
pub(crate) fn start(notes: &Notes, job: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().spawn(job) {
        keyboard::give_back();
        notes.error(&format!("cannot start a thread: {error}"));
        process::exit(Status::Local as i32);
    }
}
