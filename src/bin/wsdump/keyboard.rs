//! The modes of the terminal: each key at once, and as it was before.

#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(not(unix))]
pub(crate) use other::*;

#[cfg(unix)]
mod unix {
    use std::io::{self, Write as _};
    use std::sync::OnceLock;
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, kill_current_process_group};
    use rustix::termios::{
        InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr,
    };

    static BEFORE: OnceLock<Termios> = OnceLock::new();

    const PASTE_ON: &str = "\x1b[?2004h";
    const PASTE_OFF: &str = "\x1b[?2004l";

    /// Makes the terminal give each key at once, and mark what is pasted. Returns `false` if it
    /// cannot.
    pub(crate) fn take() -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let Ok(now) = tcgetattr(io::stdin()) else { return false };
        let mut keys = BEFORE.get_or_init(|| now).clone();
        keys.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        keys.input_modes -= InputModes::IXON;
        !is_dumb
            && tcsetattr(io::stdin(), OptionalActions::Now, &keys).is_ok()
            && say(PASTE_ON).is_ok()
    }

    /// Makes the terminal as it was, if it was changed.
    pub(crate) fn give_back() {
        if let Some(before) = BEFORE.get() {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
            let _ = say(PASTE_OFF);
        }
    }

    /// Stops the program until the shell continues it, as Ctrl-Z does.
    pub(crate) fn suspend() {
        give_back();
        // If the program cannot be stopped, it goes on.
        let _ = kill_current_process_group(Signal::TSTP);
        // Another thread may take the signal, long before this time is over. The rest of it passes
        // when the program is continued.
        thread::sleep(Duration::from_millis(50));
        take();
    }

    /// Returns the number of columns.
    pub(crate) fn width() -> usize {
        let columns = tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
        if columns == 0 { 80 } else { usize::from(columns) }
    }

    fn say(sequence: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        stdout.write_all(sequence.as_bytes())?;
        stdout.flush()
    }
}

#[cfg(not(unix))]
mod other {
    /// Returns `false`: here lines are read as the system edits them.
    pub(crate) fn take() -> bool {
        false
    }

    pub(crate) fn give_back() {}

    pub(crate) fn suspend() {}

    pub(crate) fn width() -> usize {
        80
    }
}
