//! Completes commands and paths, and tells whether a message goes on.

use std::fs;

use crate::commands;
use crate::show;

/// Returns what may replace the text before the cursor: whole texts.
pub(crate) fn complete(before: &str) -> Vec<String> {
    let path = ["/file ", "/binary @"].iter().find_map(|start| before.strip_prefix(start));
    let Some(path) = path else {
        let names = commands::ALL.iter().map(|(name, ..)| *name);
        let fits = |name: &&str| before.starts_with('/') && name.starts_with(before);
        return names
            .filter(fits)
            .filter(|name| !name.starts_with("//"))
            .map(|name| format!("{name} "))
            .collect();
    };
    let start = &before[..before.len() - path.len()];
    let (folder, name) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
    let entries = fs::read_dir(if folder.is_empty() { "." } else { folder });
    let mut found: Vec<_> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let found =
                entry.file_name().into_string().ok().filter(|found| found.starts_with(name))?;
            let end = if entry.path().is_dir() { "/" } else { "" };
            Some(format!("{start}{folder}{found}{end}"))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Returns the text with which all of these begin.
pub(crate) fn common(texts: &[String]) -> &str {
    let Some(first) = texts.first() else { return "" };
    let mut len = first.len();
    for text in texts {
        let same = first.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        len = len.min(same);
    }
    while !first.is_char_boundary(len) {
        len -= 1;
    }
    &first[..len]
}

/// Returns whether the message has another line: the last one ends with a backslash, or JSON is
/// open. An empty line ends JSON that is not meant to be closed.
pub(crate) fn goes_on(typed: &str) -> bool {
    typed.ends_with('\\') || !typed.ends_with('\n') && show::is_open_json(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_completed() {
        assert_eq!(complete("/pi"), ["/ping "]);
        assert_eq!(complete("/p"), ["/ping ", "/pong "]);
        assert_eq!(common(&complete("/p")), "/p");
        assert_eq!(complete("p"), [""; 0]);
        assert_eq!(complete("/zz"), [""; 0]);
    }

    #[test]
    fn paths_are_completed() {
        let folder = std::env::temp_dir().join(format!("wsdump-complete-{}", std::process::id()));
        fs::create_dir_all(folder.join("folder é")).unwrap();
        fs::write(folder.join("file"), "").unwrap();
        let start = folder.display();
        assert_eq!(complete(&format!("/file {start}/fi")), [format!("/file {start}/file")]);
        let both = complete(&format!("/binary @{start}/f"));
        assert_eq!(both, ["file", "folder é/"].map(|name| format!("/binary @{start}/{name}")));
        assert_eq!(common(&both), format!("/binary @{start}/f"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_message_goes_on_after_a_backslash_and_while_json_is_open() {
        for open in ["a\\", "{", "[1,\n2"] {
            assert!(goes_on(open), "{open:?}");
        }
        for done in ["", "a", "{}", "{\n", "/close", "a\\\nb"] {
            assert!(!goes_on(done), "{done:?}");
        }
    }
}
