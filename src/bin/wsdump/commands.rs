//! The commands of the prompt.

use std::path::PathBuf;

use landline::{CloseCode, CloseFrame, MessageKind};

use crate::show;

/// Is what a person has typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send this text.
    Text(String),
    /// Send these bytes.
    Bytes(Vec<u8>),
    /// Send the contents of a file.
    File(PathBuf, MessageKind),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame),
    Reconnect,
    Help,
    /// Ctrl-D.
    End,
}

/// The names of the commands, each with its arguments and what it does.
pub(crate) const ALL: [(&str, &str, &str); 8] = [
    ("/ping", "[TEXT]", "send a Ping"),
    ("/pong", "[TEXT]", "send a Pong that nobody asked for"),
    ("/close", "[CODE [REASON]]", "close the connection, and end"),
    ("/file", "PATH", "send a file as a text message"),
    ("/binary", "HEX or @PATH", "send bytes, or a file, as a binary message"),
    ("/reconnect", "", "close, and connect again"),
    ("/help", "", "show this"),
    ("//...", "", "send a text that begins with /"),
];

impl Command {
    /// Reads a line, which may have several lines: each but the last ends with a backslash, or they
    /// were pasted. The error says what would be right.
    pub(crate) fn parse(line: &str, close: &CloseFrame) -> Result<Self, String> {
        if !line.starts_with('/') {
            return Ok(Self::Text(line.replace("\\\n", "\n")));
        }
        if line.starts_with("//") {
            return Ok(Self::Text(line[1..].replace("\\\n", "\n")));
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let payload = || match rest.len() {
            0..=125 => Ok(rest.as_bytes().to_vec()),
            len => Err(format!("the payload has {len} bytes, more than 125")),
        };
        match name {
            "/ping" => payload().map(Self::Ping),
            "/pong" => payload().map(Self::Pong),
            "/close" if rest.is_empty() => Ok(Self::Close(close.clone())),
            "/close" => parse_close(rest).map(Self::Close),
            "/file" if !rest.is_empty() => Ok(Self::File(rest.into(), MessageKind::Text)),
            "/file" => Err("give a path: /file PATH".to_owned()),
            "/binary" => match rest.strip_prefix('@') {
                Some(path) => Ok(Self::File(path.into(), MessageKind::Binary)),
                None => show::parse_hex(rest).map(Self::Bytes).ok_or_else(|| {
                    "give pairs of digits or a path: /binary 00ff, /binary @PATH".to_owned()
                }),
            },
            "/reconnect" => Ok(Self::Reconnect),
            "/help" => Ok(Self::Help),
            _ => Err(format!("there is no {name}; /help lists the commands, //text sends /text")),
        }
    }
}

/// Reads `CODE REASON`, which may be sent.
pub(crate) fn parse_close(text: &str) -> Result<CloseFrame, String> {
    const CODES: &str = "give 1000 to 1003, 1007 to 1014, or 3000 to 4999";
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().map_err(|_| format!("{code:?} is no close code; {CODES}"))?;
    let frame = CloseFrame::new(CloseCode::new(code), reason);
    if frame.is_sendable() {
        return Ok(frame);
    }
    Err(if reason.len() > CloseFrame::MAX_REASON {
        format!("the reason has {} bytes, more than 123", reason.len())
    } else {
        format!("the close code {code} must not be sent; {CODES}")
    })
}

/// Returns the text of `/help`.
pub(crate) fn help() -> String {
    let mut help =
        String::from("A line is sent as a text message. It goes on after a backslash, and");
    help += " while JSON is open.\n";
    for (name, arguments, what) in ALL {
        help += &format!("  {:<28}{what}\n", format!("{name} {arguments}"));
    }
    help + "  Ctrl-C closes, and again leaves at once. Ctrl-D closes too."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line, &CloseFrame::from(4444))
    }

    #[test]
    fn lines_are_text_or_commands() {
        assert_eq!(parse("hello"), Ok(Command::Text("hello".to_owned())));
        assert_eq!(parse(""), Ok(Command::Text(String::new())));
        assert_eq!(parse("a\\\nb\nc"), Ok(Command::Text("a\nb\nc".to_owned())));
        assert_eq!(parse("//ping"), Ok(Command::Text("/ping".to_owned())));
        assert_eq!(parse("/ping"), Ok(Command::Ping(vec![])));
        assert_eq!(parse("/pong  x y "), Ok(Command::Pong(b"x y".to_vec())));
        assert_eq!(parse("/close"), Ok(Command::Close(CloseFrame::from(4444))));
        assert_eq!(parse("/close 4000 a b"), Ok(Command::Close((4000, "a b").into())));
        assert_eq!(parse("/binary 00 ff"), Ok(Command::Bytes(vec![0, 0xFF])));
        assert_eq!(parse("/binary @x"), Ok(Command::File("x".into(), MessageKind::Binary)));
        assert_eq!(parse("/file a b"), Ok(Command::File("a b".into(), MessageKind::Text)));
        for (wrong, text) in [
            ("/pnig", "/help"),
            ("/close x", "3000 to 4999"),
            ("/close 1006", "must not be sent"),
            ("/file", "PATH"),
            ("/binary xyz", "@PATH"),
        ] {
            assert!(parse(wrong).unwrap_err().contains(text), "{wrong}");
        }
        assert!(parse(&format!("/ping {}", "x".repeat(126))).unwrap_err().contains("126"));
    }

    #[test]
    fn a_close_is_a_code_and_a_reason() {
        assert_eq!(parse_close("4000 good bye"), Ok(CloseFrame::from((4000, "good bye"))));
        for wrong in ["x", "1005", "1006", "999", "70000", ""] {
            assert!(parse_close(wrong).unwrap_err().contains("3000 to 4999"), "{wrong}");
        }
        let long = format!("1000 {}", "x".repeat(124));
        assert!(parse_close(&long).unwrap_err().contains("124 bytes"));
    }

    #[test]
    fn the_help_has_every_command() {
        let help = help();
        assert!(ALL.iter().all(|(name, ..)| help.contains(name)));
    }
}
