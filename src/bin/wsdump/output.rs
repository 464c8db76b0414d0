//! Everything for standard output: the messages, in the form that the options ask for.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landline::{Fragment, MessageKind, MessageRef};

use crate::clock;
use crate::inflate;
use crate::json;
use crate::show;

/// Tells how messages are written.
#[derive(Clone)]
pub(crate) struct Format {
    pub(crate) json: bool,
    /// Ends each message: a line feed, or zero.
    pub(crate) end: u8,
    pub(crate) binary: Binary,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) gunzip: bool,
    /// A person reads on a terminal: what could harm it is escaped.
    pub(crate) person: bool,
    /// JSON is indented.
    pub(crate) pretty: bool,
    pub(crate) colour: bool,
    /// The time that `Stamp::Start` and the lines of JSON count from.
    pub(crate) start: Instant,
}

/// Names how a binary message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    /// The bytes themselves, without a line end.
    Raw,
    Hex,
    Base64,
    /// In one line for people: the length, and the first bytes.
    Described,
}

/// Names what is written before each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    Start,
    Date,
    Delta,
}

/// Writes messages to standard output, to a file, or above the prompt.
pub(crate) struct Output {
    sink: Sink,
    pub(crate) format: Format,
    previous: Instant,
    /// Is set while a message is written in fragments, and its last one has not come.
    unfinished: Option<Unfinished>,
}

/// Tells how a message ends that is written in part.
struct Unfinished {
    has_end: bool,
}

enum Sink {
    Stream(Box<dyn Write + Send>),
    /// Shows lines above the prompt.
    Prompt(Box<dyn FnMut(&str) + Send>),
}

const BUFFER: usize = 64 * 1024;

impl Output {
    pub(crate) fn stdout(format: Format) -> Self {
        Self::new(Sink::Stream(Box::new(BufWriter::with_capacity(BUFFER, io::stdout()))), format)
    }

    pub(crate) fn file(path: &Path, format: Format) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER, File::create(path)?);
        Ok(Self::new(Sink::Stream(Box::new(file)), format))
    }

    fn new(sink: Sink, format: Format) -> Self {
        let previous = format.start;
        Self { sink, format, previous, unfinished: None }
    }

    /// Shows all further messages above a prompt.
    pub(crate) fn show_above_prompt(&mut self, above: Box<dyn FnMut(&str) + Send>) {
        self.sink = Sink::Prompt(above);
    }

    /// Returns whether a message can be written in fragments, as they come.
    pub(crate) fn takes_fragments(format: &Format) -> bool {
        !format.json && !format.person && !format.gunzip && format.binary == Binary::Raw
    }

    /// Writes a message that was received.
    pub(crate) fn received(&mut self, message: MessageRef<'_>) -> io::Result<()> {
        if self.format.json {
            return self.json(message, "in");
        }
        let inflated = match message {
            MessageRef::Binary(bytes) if self.format.gunzip => inflate::any(bytes),
            MessageRef::Binary(bytes) if self.format.person => inflate::unasked(bytes),
            _ => None,
        };
        let Some((label, bytes)) = inflated else { return self.plain(message) };
        match String::from_utf8(bytes) {
            Ok(text) if self.format.person => self.text(&text, &format!("[{label}] ")),
            Ok(text) => self.plain(MessageRef::Text(&text)),
            Err(error) => self.plain(MessageRef::Binary(error.as_bytes())),
        }
    }

    fn plain(&mut self, message: MessageRef<'_>) -> io::Result<()> {
        match message {
            MessageRef::Text(text) => self.text(text, ""),
            MessageRef::Binary(bytes) => match self.format.binary {
                Binary::Raw => self.raw(bytes, true, true, self.format.end == 0),
                Binary::Hex => self.text(&show::hex(bytes), ""),
                Binary::Base64 => self.text(&BASE64.encode(bytes), ""),
                Binary::Described => self.text(&show::describe(bytes), ""),
            },
        }
    }

    /// Writes a part of a message.
    pub(crate) fn fragment(&mut self, fragment: &Fragment<'_>) -> io::Result<()> {
        let has_end = fragment.kind == MessageKind::Text || self.format.end == 0;
        self.raw(fragment.data, fragment.first, fragment.last, has_end)
    }

    fn raw(&mut self, data: &[u8], first: bool, last: bool, has_end: bool) -> io::Result<()> {
        let stamp = if first { self.stamp() } else { String::new() };
        let end = self.format.end;
        // If this cannot be written, neither can an end.
        self.unfinished = None;
        let Sink::Stream(stream) = &mut self.sink else { return Ok(()) };
        stream.write_all(stamp.as_bytes())?;
        stream.write_all(data)?;
        if !last {
            self.unfinished = Some(Unfinished { has_end });
            return Ok(());
        }
        if has_end { stream.write_all(&[end]) } else { Ok(()) }
    }

    /// Ends a message whose last fragment will not come, so that the next message is not taken for
    /// the rest of it. Returns whether there was such a message.
    pub(crate) fn cut_off(&mut self) -> io::Result<bool> {
        let Some(Unfinished { has_end }) = self.unfinished.take() else { return Ok(false) };
        self.raw(&[], false, true, has_end)?;
        self.flush()?;
        Ok(true)
    }

    fn text(&mut self, text: &str, label: &str) -> io::Result<()> {
        if !self.format.person {
            return self.raw(text.as_bytes(), true, true, true);
        }
        let pretty = self.format.pretty.then(|| show::pretty_json(text, self.format.colour));
        let shown = match pretty.flatten() {
            Some(pretty) => Cow::Owned(pretty),
            None => show::escape(text),
        };
        let line = format!("{}{label}{shown}", self.stamp());
        match &mut self.sink {
            Sink::Stream(stream) => {
                stream.write_all(line.as_bytes())?;
                stream.write_all(&[self.format.end])
            }
            Sink::Prompt(above) => {
                above(&line);
                Ok(())
            }
        }
    }

    /// Returns what is written before a message that comes now.
    fn stamp(&mut self) -> String {
        let Some(stamp) = self.format.stamp else { return String::new() };
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then).as_secs_f64();
        match stamp {
            Stamp::Start => format!("{:.6}: ", since(self.format.start)),
            Stamp::Date => format!("{} ", clock::rfc3339(SystemTime::now())),
            Stamp::Delta => {
                let delta = since(self.previous);
                self.previous = now;
                format!("+{delta:.6}: ")
            }
        }
    }

    /// Shows a message that is to be sent, for `--json`.
    pub(crate) fn sent(&mut self, message: MessageRef<'_>) -> io::Result<()> {
        if self.format.json { self.json(message, "out") } else { Ok(()) }
    }

    fn json(&mut self, message: MessageRef<'_>, dir: &str) -> io::Result<()> {
        let kind = if message.is_text() { "text" } else { "binary" };
        self.event(kind, |line| {
            line.text("dir", dir);
            match message.as_text() {
                Some(text) => line.text("text", text),
                None => {
                    line.number("bytes", message.len() as u64);
                    line.bytes("base64", message.as_bytes());
                }
            }
        })
    }

    /// Writes a line of JSON if `--json` is given.
    pub(crate) fn event(
        &mut self,
        kind: &str,
        describe: impl FnOnce(&mut json::Line),
    ) -> io::Result<()> {
        if !self.format.json {
            return Ok(());
        }
        let mut line = json::Line::new(kind, self.format.start);
        describe(&mut line);
        let Sink::Stream(stream) = &mut self.sink else { return Ok(()) };
        stream.write_all(line.finish().as_bytes())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stream(stream) => stream.flush(),
            Sink::Prompt(_) => Ok(()),
        }
    }
}
