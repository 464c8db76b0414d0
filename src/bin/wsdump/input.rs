//! Sends what comes from standard input: each line, record or file is a message.

use std::io::{self, BufRead, BufReader, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landline::{CloseFrame, Error, Message, MessageKind, Sender, Timeout};

use crate::control::{Control, Stop};
use crate::exit::is_ended_here;
use crate::notes::Notes;
use crate::output::Output;
use crate::show;
use crate::summary::Summary;

/// Tells how standard input is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Ends a record; `None` if all of the input is one.
    pub(crate) end: Option<u8>,
    pub(crate) coding: Coding,
}

/// Names what a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Text,
    Binary,
    /// Binary, as hexadecimal digits.
    Hex,
    /// Binary, as base64.
    Base64,
}

/// Sends messages over the connection of the moment, and notes them.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) control: Arc<Control>,
    pub(crate) output: Arc<Mutex<Output>>,
    pub(crate) summary: Arc<Summary>,
    pub(crate) notes: Notes,
    pub(crate) close: CloseFrame,
    /// A message whose connection is lost is sent over the next one.
    pub(crate) reconnects: bool,
    /// Each message that is sent is shown too.
    pub(crate) json: bool,
    /// The time that the payloads of pings count from.
    pub(crate) start: Instant,
}

/// A record that is longer is sent in fragments while it is read, so memory stays constant.
const WHOLE: usize = 1 << 20;
const BUFFER: usize = 64 * 1024;

/// Reads standard input to its end, waits for `eof_wait`, and closes. Reads nothing before there is
/// a connection.
pub(crate) fn pump(outgoing: &Outgoing, shape: Shape, eof_wait: Option<Duration>) {
    let mut reader =
        Reader { outgoing, shape, input: BufReader::with_capacity(BUFFER, io::stdin()) };
    match reader.run() {
        Ok(()) => {
            outgoing.notes.verbose("standard input is at its end");
            if let Some(wait) = eof_wait {
                outgoing.control.pause(wait);
                outgoing.control.stop(Stop::Finished, &outgoing.close);
            }
        }
        Err(Ended::Over) => {}
        Err(Ended::Failed(why)) => {
            outgoing.error(&why, None);
            outgoing.control.stop(Stop::Failed, &outgoing.close);
        }
    }
}

/// Tells why not all of the input was sent.
pub(crate) enum Ended {
    /// There is no connection any more.
    Over,
    Failed(String),
}

struct Reader<'a, R> {
    outgoing: &'a Outgoing,
    shape: Shape,
    input: BufReader<R>,
}

impl<R: io::Read> Reader<'_, R> {
    fn run(&mut self) -> Result<(), Ended> {
        while self.outgoing.control.sender().is_some() {
            if !self.whole_records()? && !self.long_record()? {
                return Ok(());
            }
        }
        Err(Ended::Over)
    }

    /// Sends all records that the buffer holds completely, with one call. If one is wrong, those
    /// before it are sent. Returns `false` if the buffer holds none.
    fn whole_records(&mut self) -> Result<bool, Ended> {
        let Some(end) = self.shape.end else { return Ok(false) };
        let buffer = self.input.fill_buf().map_err(unreadable)?;
        let Some(last) = buffer.iter().rposition(|&byte| byte == end) else { return Ok(false) };
        let (mut messages, mut decoded) = (Vec::new(), Ok(true));
        for record in buffer[..last].split(|&byte| byte == end) {
            match decode(self.shape.coding, record) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    decoded = Err(error);
                    break;
                }
            }
        }
        self.outgoing.send(&messages)?;
        self.input.consume(last + 1);
        decoded
    }

    /// Sends one record that is longer than the buffer, or the last one. Returns `false` at the end
    /// of the input.
    fn long_record(&mut self) -> Result<bool, Ended> {
        let mut record = Vec::new();
        let streams =
            !self.outgoing.json && matches!(self.shape.coding, Coding::Text | Coding::Binary);
        let complete = self.read_part(&mut record, if streams { WHOLE } else { usize::MAX })?;
        if complete {
            if record.is_empty() {
                return Ok(false);
            }
            self.outgoing.send(&[decode(self.shape.coding, &record)?])?;
            return Ok(true);
        }
        self.stream(record).map(|()| true)
    }

    /// Appends to `record` up to its end, but about `most` bytes. Returns whether the end was met.
    fn read_part(&mut self, record: &mut Vec<u8>, most: usize) -> Result<bool, Ended> {
        while record.len() < most {
            let buffer = self.input.fill_buf().map_err(unreadable)?;
            if buffer.is_empty() {
                return Ok(true);
            }
            let end = self.shape.end.and_then(|end| buffer.iter().position(|&byte| byte == end));
            record.extend_from_slice(&buffer[..end.unwrap_or(buffer.len())]);
            let len = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(len);
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends a long record while it is read. So it cannot be sent again when its connection is
    /// lost: the rest of it is left out then, and the next record goes over the next connection.
    fn stream(&mut self, mut part: Vec<u8>) -> Result<(), Ended> {
        let kind = match self.shape.coding {
            Coding::Text => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        let sender = self.outgoing.control.sender().ok_or(Ended::Over)?;
        let mut writer = self.unless_lost(sender.writer(kind).map_err(Into::into))?;
        let (mut len, mut complete) = (0, false);
        loop {
            if let Some(open) = &mut writer {
                let written = open.write_all(&part);
                if self.unless_lost(written)?.is_none() {
                    writer = None;
                }
            }
            len += part.len();
            if complete {
                break;
            }
            part.clear();
            complete = self.read_part(&mut part, BUFFER)?;
        }
        let Some(writer) = writer else { return Ok(()) };
        // It is counted before its end, because the program may end when the answer comes.
        self.outgoing.summary.sent.add(1, len);
        let finished = self.unless_lost(writer.finish().map_err(Into::into));
        if !matches!(finished, Ok(Some(()))) {
            self.outgoing.summary.sent.take_back(1, len);
        }
        finished.map(drop)
    }

    /// Returns `None` if the connection of a long record is lost, and another one follows.
    fn unless_lost<T>(&self, done: io::Result<T>) -> Result<Option<T>, Ended> {
        let error = match done.map_err(io::Error::downcast::<Error>) {
            Ok(value) => return Ok(Some(value)),
            Err(Ok(error)) => error,
            Err(Err(_)) => return Err(not_text()),
        };
        let why = format!("a long message was not sent: {error}");
        // A text that ends within a character makes the library close the connection.
        if !error.is_fatal() || is_ended_here(&error) {
            return Err(Ended::Failed(why));
        }
        self.outgoing.error(&why, None);
        if self.outgoing.reconnects { Ok(None) } else { Err(Ended::Over) }
    }
}

fn unreadable(error: io::Error) -> Ended {
    Ended::Failed(format!("cannot read standard input: {error}"))
}

fn not_text() -> Ended {
    Ended::Failed("standard input is not UTF-8, so it is no text: use --binary".to_owned())
}

/// Makes a message of a record.
fn decode(coding: Coding, record: &[u8]) -> Result<Message, Ended> {
    match coding {
        Coding::Text => {
            let record =
                if cfg!(windows) { record.strip_suffix(b"\r").unwrap_or(record) } else { record };
            let text = std::str::from_utf8(record).map_err(|_| not_text())?;
            Ok(Message::from(text))
        }
        Coding::Binary => Ok(Message::from(record.to_vec())),
        Coding::Hex => {
            let text = String::from_utf8_lossy(record);
            let bytes = show::parse_hex(&text);
            bytes.map(Message::from).ok_or_else(|| {
                Ended::Failed(format!("not hexadecimal: {text:?}; give pairs of digits, as 00ff"))
            })
        }
        Coding::Base64 => {
            let bytes = BASE64.decode(record.trim_ascii()).map_err(|error| {
                let text = String::from_utf8_lossy(record);
                Ended::Failed(format!("not base64: {text:?}: {error}"))
            })?;
            Ok(Message::from(bytes))
        }
    }
}

impl Outgoing {
    /// Says what went wrong, also in a line of JSON if `--json` is given. The status is that of
    /// HTTP, if the server refused.
    pub(crate) fn error(&self, text: &str, status: Option<u16>) {
        self.notes.error(text);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let told = output.event("error", |line| {
            line.text("error", text);
            match status {
                Some(status) => line.number("status", u64::from(status)),
                None => line.text_or_null("status", None),
            }
        });
        // The thread that receives notices too that nothing can be written.
        drop(told.and_then(|()| output.flush()));
    }

    /// Sends messages, over the next connection if the present one is lost.
    pub(crate) fn send(&self, messages: &[Message]) -> Result<(), Ended> {
        // A batch that fails may be sent in part. So it must not be sent again.
        let most = if self.reconnects { 1 } else { messages.len().max(1) };
        messages.chunks(most).try_for_each(|batch| self.send_batch(batch))
    }

    fn send_batch(&self, batch: &[Message]) -> Result<(), Ended> {
        let mut is_shown = false;
        loop {
            let sender = self.control.sender().ok_or(Ended::Over)?;
            // A message is shown once, however many connections it takes.
            if !is_shown {
                self.show(batch);
                is_shown = true;
            }
            match self.count_and_send(&sender, batch) {
                Err(Error::Timeout(Timeout::Busy)) if batch.len() == 1 => {}
                Err(error) if error.is_fatal() => {
                    if !self.reconnects {
                        return Err(Ended::Over); // Who receives says why.
                    }
                }
                Err(error) => return Err(Ended::Failed(error.to_string())),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Sends messages over this connection. They are shown and counted before, because the program
    /// may end when the answer comes.
    pub(crate) fn send_over(&self, sender: &Sender, messages: &[Message]) -> Result<(), Error> {
        self.show(messages);
        self.count_and_send(sender, messages)
    }

    /// Shows messages that are to be sent, for `--json`.
    fn show(&self, messages: &[Message]) {
        if self.json {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = messages.iter();
            // The thread that receives notices too that nothing can be written.
            let _ = all.try_for_each(|message| output.sent(message.into()));
            let _ = output.flush();
        }
    }

    fn count_and_send(&self, sender: &Sender, messages: &[Message]) -> Result<(), Error> {
        let bytes = messages.iter().map(Message::len).sum();
        self.summary.sent.add(messages.len(), bytes);
        let sent = sender.send_all(messages);
        if sent.is_err() {
            self.summary.sent.take_back(messages.len(), bytes);
        }
        sent
    }
}
