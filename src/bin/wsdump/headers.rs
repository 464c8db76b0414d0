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
        given(option, text)?.iter().try_for_each(|line| self.add_line(option, line))
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
        let (name, value) = parse(option, line)?;
        let lower = name.to_ascii_lowercase();
        let Some(value) = value else {
            self.no_user_agent |= lower == "user-agent";
            return Ok(());
        };
        match lower.as_str() {
            "sec-websocket-protocol" => {
                self.subprotocols.extend(value.split(',').map(|name| name.trim().to_owned()));
            }
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

/// Returns the header lines for a proxy, in the forms of [`Headers::add`]. No name has a special
/// meaning: the request to a proxy is not the one that the handshake with the server writes.
pub(crate) fn for_proxy(option: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = given(option, text)?;
    let named = lines.iter().map(|line| match parse(option, line)? {
        (name, Some(value)) => Ok((name.to_owned(), value.to_owned())),
        (name, None) => {
            Err(format!("{option}: {name} has no value; give '{name};' to send it without one"))
        }
    });
    named.collect()
}

/// Returns the lines of `@FILE`, or the text, which is a line itself.
fn given(option: &str, text: &str) -> Result<Vec<String>, String> {
    let Some(path) = text.strip_prefix('@') else { return Ok(vec![text.to_owned()]) };
    let lines = fs::read_to_string(path)
        .map_err(|error| format!("{option}: cannot read {path:?}: {error}"))?;
    Ok(lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// Returns the name and the value of a line. There is no value in `NAME:`, by which curl leaves a
/// line out, but an empty one in `NAME;`.
fn parse<'a>(option: &str, line: &'a str) -> Result<(&'a str, Option<&'a str>), String> {
    let (name, value) = match line.split_once(':') {
        Some((name, value)) => (name.trim(), Some(value.trim()).filter(|value| !value.is_empty())),
        None => match line.strip_suffix(';') {
            Some(name) => (name.trim(), Some("")),
            // The line may be a secret, so it is not shown.
            None => return Err(format!("{option}: give NAME: VALUE, with a colon in between")),
        },
    };
    if !is_name(name) {
        return Err(format!(
            "{option}: the name of the header has a character that is not allowed"
        ));
    }
    Ok((name, value))
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
    fn no_line_for_a_proxy_is_left_out() {
        for name in ["Proxy-Authorization", "Connection", "Upgrade", "User-Agent", "Host"] {
            let given = for_proxy("--proxy-header", &format!("{name}: x")).unwrap();
            assert_eq!(given, [line(name, "x")]);
        }
        assert_eq!(for_proxy("--proxy-header", "X-Empty;").unwrap(), [line("X-Empty", "")]);
        let error = for_proxy("--proxy-header", "User-Agent:").unwrap_err();
        assert!(error.contains("give 'User-Agent;'"), "{error}");
    }

    #[test]
    fn a_wrong_line_is_not_shown() {
        let server = Headers::default().add("-H", "secret").unwrap_err();
        let proxy = for_proxy("--proxy-header", "secret").unwrap_err();
        assert!(!server.contains("secret") && !proxy.contains("secret"), "{server}, {proxy}");
    }
}
