//! Sends what `--text`, `--send-file` and `--send-binary` say, on each new connection.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use landline::{Error, Message, MessageKind, Sender};

use crate::args::Preamble;
use crate::input::{Ended, Outgoing};
use crate::progress::Progress;

/// Sends the messages in their order.
pub(crate) fn send(
    outgoing: &Outgoing,
    sender: &Sender,
    messages: &[Preamble],
) -> Result<(), Ended> {
    for message in messages {
        match message {
            Preamble::Text(text) => outgoing
                .send_over(sender, &[Message::from(text.as_str())])
                .map_err(|_| Ended::Over)?,
            Preamble::TextFile(path) => file(outgoing, sender, path, MessageKind::Text)?,
            Preamble::BinaryFile(path) => file(outgoing, sender, path, MessageKind::Binary)?,
        }
    }
    Ok(())
}

/// A file up to this size is sent in one frame.
const WHOLE: u64 = 1 << 20;

/// Sends the contents of a file as one message. A long one is sent while it is read.
pub(crate) fn file(
    outgoing: &Outgoing,
    sender: &Sender,
    path: &Path,
    kind: MessageKind,
) -> Result<(), Ended> {
    let unreadable = |error: io::Error| Ended::Failed(format!("cannot read {path:?}: {error}"));
    let not_text = || Ended::Failed(not_text(path));
    let mut file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len <= WHOLE || outgoing.json {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        let message = match kind {
            MessageKind::Text => Message::from(String::from_utf8(bytes).map_err(|_| not_text())?),
            MessageKind::Binary => Message::from(bytes),
        };
        return outgoing.send_over(sender, &[message]).map_err(|_| Ended::Over);
    }
    let mut writer = sender.writer(kind).map_err(|_| Ended::Over)?;
    let mut progress = Progress::new(&outgoing.notes, "sent", len);
    let mut buffer = vec![0; 64 * 1024];
    let mut sent = 0;
    loop {
        let part = file.read(&mut buffer).map_err(unreadable)?;
        if part == 0 {
            break;
        }
        // An error of the connection has an `Error` within.
        writer.write_all(&buffer[..part]).map_err(|error| match error.downcast::<Error>() {
            Ok(_) => Ended::Over,
            Err(_) => not_text(),
        })?;
        sent += part;
        progress.advance(part);
    }
    // It is counted before its end, because the program may end when the answer comes.
    outgoing.summary.sent.add(1, sent);
    writer.finish().map_err(|error| {
        outgoing.summary.sent.take_back(1, sent);
        if error.is_fatal() { Ended::Over } else { not_text() }
    })
}

pub(crate) fn not_text(path: &Path) -> String {
    format!("{path:?} is not UTF-8, so it is no text: send it as binary")
}
