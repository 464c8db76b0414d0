//! The lines that were typed before, also in earlier runs.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// Holds the lines, the newest last, and the place that a person has gone back to.
#[derive(Default)]
pub(crate) struct History {
    lines: Vec<String>,
    at: Option<usize>,
    /// The line that was edited before a person went back.
    edited: String,
    file: Option<PathBuf>,
}

/// The most lines that are read from the file.
const MOST: usize = 1000;

impl History {
    /// Reads the history. If its file cannot be read or written, the history is kept for this run.
    pub(crate) fn load() -> Self {
        let file = file();
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(unescape).collect();
        let lines = lines[lines.len().saturating_sub(MOST)..].to_vec();
        Self { lines, file, ..Self::default() }
    }

    /// Adds a line. One that begins with a blank is left out, and one that is as the last one.
    pub(crate) fn add(&mut self, line: &str) {
        self.at = None;
        let is_known = self.lines.last().is_some_and(|last| last == line);
        if line.trim().is_empty() || line.starts_with(' ') || is_known {
            return;
        }
        self.lines.push(line.to_owned());
        if let Some(file) = &self.file {
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let written = options
                .open(file)
                .and_then(|mut file| file.write_all(format!("{}\n", escape(line)).as_bytes()));
            if written.is_err() {
                self.file = None;
            }
        }
    }

    /// Goes back to the last line before this one that contains `part`.
    pub(crate) fn back(&mut self, edited: &str, part: &str) -> Option<&str> {
        let end = self.at.unwrap_or(self.lines.len());
        let found = self.lines[..end].iter().rposition(|line| line.contains(part))?;
        if self.at.is_none() {
            edited.clone_into(&mut self.edited);
        }
        self.at = Some(found);
        Some(&self.lines[found])
    }

    /// Goes forward again, at last to the line that was edited before.
    pub(crate) fn forward(&mut self) -> Option<&str> {
        let next = self.at? + 1;
        self.at = (next < self.lines.len()).then_some(next);
        Some(self.at.map_or(&self.edited, |at| &self.lines[at]))
    }
}

/// Returns the file: `WSDUMP_HISTORY`, or one in the folder for such files.
fn file() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if env::var_os("WSDUMP_HISTORY").is_some() {
        return set("WSDUMP_HISTORY");
    }
    let folder = set("XDG_STATE_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/state")))
        .or_else(|| set("LOCALAPPDATA"))?
        .join("wsdump");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

fn escape(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                other => text.extend(other),
            },
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_goes_back_and_forward() {
        let mut history = History::default();
        for line in ["one", "two", "two", " secret", "", "three"] {
            history.add(line);
        }
        assert_eq!(history.lines, ["one", "two", "three"]);
        assert_eq!(history.forward(), None);
        assert_eq!(history.back("edited", ""), Some("three"));
        assert_eq!(history.back("three", "o"), Some("two"));
        assert_eq!(history.back("two", ""), Some("one"));
        assert_eq!(history.back("one", ""), None);
        assert_eq!(history.forward(), Some("two"));
        assert_eq!(history.forward(), Some("three"));
        assert_eq!(history.forward(), Some("edited"));
        assert_eq!(history.forward(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_history_that_finds_the_disk_full_is_kept_for_this_run() {
        let file = Some("/dev/full".into());
        let mut history = History { file, ..History::default() };
        for line in ["one", "two"] {
            history.add(line);
            assert_eq!(history.file, None, "no further line is written");
        }
        assert_eq!(history.lines, ["one", "two"]);
    }

    #[test]
    fn lines_of_the_file_have_several_lines() {
        for line in ["a", "a\nb", "\\n", "\\", "a\\\nb"] {
            assert_eq!(unescape(&escape(line)), line);
            assert!(!escape(line).contains('\n'));
        }
    }
}
