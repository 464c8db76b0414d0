//! Header lines of the command line, in the forms that curl and Python's wsdump take.

use std::fs;

/// Holds the header lines of a request, sorted by what is done with them.
#[derive(Default)]
pub(crate) struct Headers {
    pub(crate) lines: Vec<(String, String)>,
    /// The names in `Sec-WebSocket-Protocol`, which becomes an offer.
    pub(crate) subprotocols: Vec<String>,
    /// `User-Agent:` without a value, by which curl leaves the line out.
    pub(crate) no_user_agent: bool,
    /// The names of lines that the handshake writes itself.
    pub(crate) ignored: Vec<String>,
}

impl Headers {
    /// Adds `NAME: VALUE`, `NAME;` for an empty value, or the lines of `@FILE`.
    pub(crate) fn add(&mut self, option: &str, text: &str) -> Result<(), String> {
        let Some(path) = text.strip_prefix('@') else { return self.add_line(option, text) };
        let lines = fs::read_to_string(path)
            .map_err(|error| format!("{option}: cannot read {path:?}: {error}"))?;
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            self.add_line(option, line)?;
        }
        Ok(())
    }

    /// Adds several lines, separated by commas. A comma that no name follows is a part of the
    /// value.
    pub(crate) fn add_list(&mut self, option: &str, text: &str) -> Result<(), String> {
        let mut lines: Vec<String> = Vec::new();
        for part in text.split(',') {
            let begins = part.split_once(':').is_some_and(|(name, _)| is_name(name.trim()));
            match lines.last_mut() {
                Some(line) if !begins => {
                    line.push(',');
                    line.push_str(part);
                }
                _ => lines.push(part.trim().to_owned()),
            }
        }
        lines.iter().try_for_each(|line| self.add_line(option, line))
    }

    fn add_line(&mut self, option: &str, line: &str) -> Result<(), String> {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name.trim(), value.trim()),
            None => match line.strip_suffix(';') {
                Some(name) => (name.trim(), ""),
                // The line may be a secret, so it is not shown.
                None => return Err(format!("{option}: give NAME: VALUE, with a colon in between")),
            },
        };
        if !is_name(name) {
            return Err(format!(
                "{option}: the name of the header has a character that is not allowed"
            ));
        }
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "sec-websocket-protocol" => {
                self.subprotocols.extend(value.split(',').map(|name| name.trim().to_owned()));
            }
            "user-agent" if value.is_empty() && line.contains(':') => self.no_user_agent = true,
            _ if value.is_empty() && line.contains(':') => {}
            "connection" | "upgrade" | "content-length" | "transfer-encoding" => {
                self.ignored.push(name.to_owned());
            }
            _ if lower.starts_with("sec-websocket-") || lower.starts_with("proxy-") => {
                self.ignored.push(name.to_owned());
            }
            _ => self.lines.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }
}

/// Returns whether the text is a name of a header, as `landline` checks it.
fn is_name(name: &str) -> bool {
    landline::proto::http::is_token(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_list_is_cut_only_before_a_name() {
        let mut headers = Headers::default();
        headers.add_list("--headers", "A: 1, B: x, y,C:3").unwrap();
        assert_eq!(headers.lines, [line("A", "1"), line("B", "x, y"), line("C", "3")]);
    }

    #[test]
    fn lines_of_a_browser_are_sorted() {
        let mut headers = Headers::default();
        for text in [
            "Upgrade: websocket",
            "Sec-WebSocket-Key: x",
            "Sec-WebSocket-Protocol: a, b",
            "Cache-Control: no-cache",
            "User-Agent:",
            "X-Empty;",
            "Accept:",
        ] {
            headers.add("-H", text).unwrap();
        }
        assert_eq!(headers.ignored, ["Upgrade", "Sec-WebSocket-Key"]);
        assert_eq!(headers.subprotocols, ["a", "b"]);
        assert_eq!(headers.lines, [line("Cache-Control", "no-cache"), line("X-Empty", "")]);
        assert!(headers.no_user_agent);
    }

    #[test]
    fn a_wrong_line_is_not_shown() {
        let error = Headers::default().add("-H", "secret").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
