//! The lines that `--json` writes: what happens on a connection, for scripts.
//!
//! Each line is an object with `time` (UTC), `at` (seconds since the start) and `kind`:
//!
//! | kind | members |
//! |---|---|
//! | `open` | `url`, `peer`, `took` (seconds), `reconnected`, `status` |
//! | | `subprotocol`, `compressed`, `headers` |
//! | `text` | `dir` (`in`, or `out` before it is sent), `text` |
//! | `binary` | `dir`, `bytes`, `base64` |
//! | `ping` | `dir`, `base64` |
//! | `pong` | `dir`, `base64`, `rtt` (seconds, if it answers `--ping`) |
//! | `close` | `code`, `reason`, `by` (`server`, `client` or null), `clean`, `text` |
//! | `error` | `error`, `status` (HTTP, if the server refused) |
//! | `retry` | `attempt`, `wait` (seconds) |
//!
//! Members may be added. Those that are here stay.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::clock;

/// Is a line of JSON that is being made.
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn new(kind: &str, start: Instant) -> Self {
        let mut line = Self(String::from("{"));
        line.text("time", &clock::rfc3339(SystemTime::now()));
        line.seconds("at", start.elapsed());
        line.text("kind", kind);
        line
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        let value = quoted(value);
        self.raw(name, &value);
    }

    pub(crate) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) {
        let value = BASE64.encode(value);
        self.text(name, &value);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.raw(name, &value.to_string());
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    pub(crate) fn seconds(&mut self, name: &str, value: Duration) {
        self.raw(name, &format!("{:.6}", value.as_secs_f64()));
    }

    /// Adds header lines, as pairs of name and value.
    pub(crate) fn headers<'a>(&mut self, lines: impl Iterator<Item = (&'a str, &'a [u8])>) {
        let pairs: Vec<_> = lines
            .map(|(name, value)| {
                format!("[{},{}]", quoted(name), quoted(&String::from_utf8_lossy(value)))
            })
            .collect();
        self.raw("headers", &format!("[{}]", pairs.join(",")));
    }

    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    /// Returns the line, with its end.
    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        let mut line = Line::new("x", Instant::now());
        line.text("t", "a\"\n\u{1b}");
        line.text_or_null("n", None);
        line.bytes("b", &[0xFF, 0]);
        line.number("u", 7);
        line.boolean("f", false);
        line.headers([("A", &b"1"[..]), ("B", b"\xFF")].into_iter());
        let line = line.finish();
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["t"], "a\"\n\u{1b}");
        assert_eq!(value["b"], "/wA=");
        assert_eq!(value["u"], 7);
        assert_eq!(value["headers"][1][1], "\u{fffd}");
        assert!(value["n"].is_null() && value["at"].is_number());
    }
}
