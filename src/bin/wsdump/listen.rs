//! `--listen`: an echo server, to try things on. It is a test tool: it checks little, and serves
//! anybody who connects.
//!
//! The crate is a client, so the frames of a client are read here, by the headers of
//! `landline::proto`. A message is echoed frame by frame, while it is read, in constant memory.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landline::proto::frame::{Header, Opcode};
use landline::proto::handshake::Key;
use landline::proto::mask::mask_into;

use crate::exit::Status;
use crate::notes::Notes;

const BUFFER: usize = 64 * 1024;
/// The time until the next client is accepted, if the last one could not be served.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until the program is ended. Says on standard output where.
pub(crate) fn run(address: &str, notes: &Notes) -> Status {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            notes.error(&format!(
                "cannot listen on {address}: {error}; give another address, such as 127.0.0.1:0 \
                 for any port"
            ));
            return Status::Local;
        }
    };
    let url = listener.local_addr().map(|address| format!("ws://{address}/"));
    let told = url.and_then(|url| {
        let mut stdout = io::stdout();
        writeln!(stdout, "{url}")?;
        stdout.flush()
    });
    if let Err(error) = told {
        notes.error(&format!("cannot say where the server is: {error}"));
        return Status::Local;
    }
    notes.info("an echo server for tests: not for the internet. Ctrl-C ends it");
    for stream in listener.incoming() {
        let own = notes.clone();
        let begun = stream.and_then(|stream| {
            thread::Builder::new().spawn(move || {
                own.verbose(&match serve(stream, &own) {
                    Ok(()) => "a client has closed".to_owned(),
                    Err(error) => format!("a client is lost: {error}"),
                });
            })
        });
        if let Err(error) = begun {
            notes.verbose(&format!("a client cannot be served: {error}"));
            // There are no files left, or no threads. The next attempt would fail at once too.
            thread::sleep(PAUSE);
        }
    }
    Status::Clean
}

fn serve(stream: TcpStream, notes: &Notes) -> io::Result<()> {
    stream.set_nodelay(true)?;
    notes.verbose(&format!("a client at {}", stream.peer_addr()?));
    let mut out = stream.try_clone()?;
    let mut input = BufReader::with_capacity(BUFFER, stream);
    match key(&mut input)? {
        Some(key) => out.write_all(answer(&key).as_bytes())?,
        None => {
            out.write_all(REFUSAL.as_bytes())?;
            return Err(invalid("its request is not for a WebSocket"));
        }
    }
    echo(&mut input, &mut out)?;
    // The client ends the stream after the Close, or this side does after a while.
    input.get_ref().set_read_timeout(Some(Duration::from_secs(2)))?;
    io::copy(&mut input, &mut io::sink()).map(drop)
}

/// The most bytes of a line of the request.
const MOST_LINE: u64 = 16 * 1024;

/// Reads the request. Returns its key, or `None` if it has no good one.
fn key(input: &mut impl BufRead) -> io::Result<Option<Key>> {
    let mut key = None;
    loop {
        let mut line = String::new();
        input.by_ref().take(MOST_LINE).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("Sec-WebSocket-Key") => {
                let random = BASE64.decode(value.trim()).ok();
                key = random.and_then(|random| Some(Key::new(random.try_into().ok()?)));
            }
            None if line.trim_end().is_empty() => return Ok(key),
            _ => {}
        }
    }
}

const REFUSAL: &str = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\
    Connection: close\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";

fn answer(key: &Key) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        key.accept()
    )
}

/// Sends back what comes, until the client closes.
fn echo(input: &mut BufReader<TcpStream>, out: &mut TcpStream) -> io::Result<()> {
    let mut pending = Vec::new();
    while let Some(header) = header(input, &mut pending, out)? {
        let mask = header.mask.ok_or_else(|| invalid("a frame of the client is not masked"))?;
        let opcode = match header.opcode {
            Opcode::Ping => Opcode::Pong,
            opcode => opcode,
        };
        Header { opcode, mask: None, ..header }.encode(&mut pending);
        let mut at = 0;
        while at < header.len {
            let part = input.fill_buf()?;
            if part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let len = part.len().min(usize::try_from(header.len - at).unwrap_or(usize::MAX));
            mask_into(&mut pending, &part[..len], mask, at);
            input.consume(len);
            at += len as u64;
            if pending.len() >= BUFFER {
                out.write_all(&pending)?;
                pending.clear();
            }
        }
        if header.opcode == Opcode::Close {
            return out.write_all(&pending);
        }
    }
    Ok(())
}

/// Reads the header of the next frame. Writes what is pending before it waits. `None` at the end of
/// the stream.
fn header(
    input: &mut BufReader<TcpStream>,
    pending: &mut Vec<u8>,
    out: &mut TcpStream,
) -> io::Result<Option<Header>> {
    let mut bytes = Vec::with_capacity(14);
    loop {
        let decoded =
            Header::decode(&bytes).map_err(|violation| invalid(&violation.to_string()))?;
        if let Some((header, _)) = decoded {
            return Ok(Some(header));
        }
        if input.buffer().is_empty() && !pending.is_empty() {
            out.write_all(pending)?;
            pending.clear();
        }
        match input.fill_buf()?.first() {
            Some(&byte) => bytes.push(byte),
            None if bytes.is_empty() => return Ok(None),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        input.consume(1);
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
