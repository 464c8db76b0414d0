//! Everything for standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use crate::show;

/// Writes to standard error what is not data, or nothing if `--quiet` is given.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Inner>);

struct Inner {
    quiet: bool,
    verbosity: u8,
    above_prompt: Mutex<Option<Above>>,
}

/// Shows a line above the prompt.
type Above = Box<dyn FnMut(&str) + Send>;

impl Notes {
    /// Makes the notes, and with `-vv` has the heads and frames of the library written to them.
    pub(crate) fn start(quiet: bool, verbosity: u8) -> Self {
        let above_prompt = Mutex::new(None);
        let notes = Self(Arc::new(Inner { quiet, verbosity, above_prompt }));
        if !quiet && log::set_logger(Box::leak(Box::new(notes.clone()))).is_ok() {
            let most = [log::LevelFilter::Warn, log::LevelFilter::Warn, log::LevelFilter::Trace];
            log::set_max_level(most[usize::from(verbosity.min(2))]);
        }
        notes
    }

    /// Says why the command line is wrong, whatever the options.
    pub(crate) fn usage(&self, wrong: &str) {
        self.write(&format!("wsdump: {wrong}\nTry 'wsdump --help'."));
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.say(0, &format!("wsdump: {text}"));
    }

    /// Says what everybody wants to know, such as that the program connects again.
    pub(crate) fn info(&self, text: &str) {
        self.say(0, text);
    }

    /// Says with `-v` what happens.
    pub(crate) fn verbose(&self, text: &str) {
        self.say(1, text);
    }

    fn say(&self, level: u8, text: &str) {
        if !self.0.quiet && self.0.verbosity >= level {
            self.write(text);
        }
    }

    /// Shows all further notes above a prompt.
    pub(crate) fn show_above_prompt(&self, above: Above) {
        *self.0.above_prompt.lock().unwrap_or_else(PoisonError::into_inner) = Some(above);
    }

    /// Draws a bar in the present line of the terminal, or clears the line. Returns `false` if
    /// there is no terminal to draw on.
    pub(crate) fn bar(&self, bar: &str) -> bool {
        !self.0.quiet
            && !self.has_prompt()
            && io::stderr().is_terminal()
            && write!(io::stderr(), "\r\x1b[K{bar}").is_ok()
    }

    pub(crate) fn has_prompt(&self) -> bool {
        self.0.above_prompt.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn write(&self, text: &str) {
        let text = show::escape(text);
        let mut above = self.0.above_prompt.lock().unwrap_or_else(PoisonError::into_inner);
        match above.as_mut() {
            Some(above) => above(&text),
            // If nobody reads the notes, there is nobody to tell.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

impl log::Log for Notes {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("landline")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(&format!("* {}", record.args()));
        }
    }

    fn flush(&self) {}
}
