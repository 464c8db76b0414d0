//! A server that moves bytes, and looks only at the headers of frames. After the opening handshake
//! the path says what it does:
//!
//! * `/echo`: sends each message back.
//! * `/blast/KIND/LEN/COUNT/COUNT...`: for each COUNT waits for a message, then sends COUNT
//!   messages of this kind and length.
//! * `/swallow/LEN/COUNT/COUNT...`: for each COUNT reads COUNT messages, then sends an empty one.
//!   If LEN is not 0, it hangs up unless each message had LEN bytes.
//! * `/full`, `/resumed`: hangs up unless the TLS handshake was a full or a resumed one.
//! * `/listen`: gets a message whenever a connection with the path `/tick` sends one.
//!
//! After that, and on any other path, it reads until the client closes, and answers the Close. If
//! the client offers compression, it agrees, without context takeover. So the same message is
//! always the same bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::Certificate;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::compressed::{compress, compressor};
use crate::message::{Kind, Message};
use crate::wire::{Frames, frame, header};

/// The number of bytes that are written at a time.
const CHUNK: usize = 64 * 1024;
const CLOSE: u8 = 0x88;

/// Serves plain connections, one thread each. Returns the address.
pub fn plain() -> SocketAddr {
    listen(|stream| {
        let (listener, tcp) = (stream.try_clone()?, stream.try_clone()?);
        serve(Spinning(stream), &tcp, None, Some(listener))
    })
}

/// Serves TLS connections. Returns the address, and the certificate.
pub fn tls() -> (SocketAddr, Certificate) {
    let (server, certificate) = tls_config();
    let address = listen(move |mut stream| {
        let mut connection = ServerConnection::new(server.clone()).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let (kind, tcp) = (connection.handshake_kind(), stream.try_clone()?);
        let mut stream = StreamOwned::new(connection, stream);
        serve(Spinning(&mut stream), &tcp, kind, None)?;
        stream.conn.send_close_notify();
        stream.flush()
    });
    (address, certificate)
}

/// Makes a certificate, and returns it with the config of a server that uses it.
pub fn tls_config() -> (Arc<ServerConfig>, Certificate) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .unwrap();
    (Arc::new(config), signed.cert)
}

fn listen(
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that ends the connection is no error.
            thread::spawn(move || stream.set_nodelay(true).and_then(|()| serve(stream)));
        }
    });
    address
}

/// A stream that may be in non-blocking mode: its calls spin until there is something to do.
///
/// A client that sends pays for waking a server that sleeps. How often it sleeps depends on who is
/// faster by a little, so that the client's time would jump between two values.
struct Spinning<S>(S);

impl<S: Read> Read for Spinning<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        spin(|| self.0.read(buf))
    }
}

impl<S: Write> Write for Spinning<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        spin(|| self.0.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        spin(|| self.0.flush())
    }
}

fn spin<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            done => return done,
        }
    }
}

/// The connections with the path `/listen`.
static LISTENERS: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

fn serve(
    mut stream: impl Read + Write,
    tcp: &TcpStream,
    tls: Option<HandshakeKind>,
    listener: Option<TcpStream>,
) -> io::Result<()> {
    let request = read_request(&mut stream)?;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let mut words = path.split('/').skip(1);
    let task = words.next().unwrap_or_default();
    let right = match task {
        "resumed" => tls == Some(HandshakeKind::Resumed),
        "full" => tls == Some(HandshakeKind::Full),
        _ => true,
    };
    if !right {
        eprintln!("server: {path}, but the handshake was {tls:?}");
        return Ok(());
    }
    let deflate = request.to_ascii_lowercase().contains("permessage-deflate");
    if task == "listen" {
        LISTENERS.lock().unwrap().extend(listener);
    }
    answer(&mut stream, &request, deflate)?;

    let kind = if task == "blast" { words.next().and_then(Kind::parse) } else { None };
    let numbers: Vec<usize> = words.map(|word| word.parse().unwrap()).collect();
    let mut frames = Frames::new(stream);
    match (task, &numbers[..]) {
        ("echo", _) => return echo(&mut frames),
        ("tick", _) => tick(&mut frames)?,
        ("blast", [len, counts @ ..]) => blast(&mut frames, kind.unwrap(), *len, counts, deflate)?,
        ("swallow", [len, counts @ ..]) => {
            tcp.set_nonblocking(true)?;
            swallow(&mut frames, *len, counts)?;
        }
        _ => {}
    }
    until_close(&mut frames)
}

fn until_close(frames: &mut Frames<impl Read + Write>) -> io::Result<()> {
    while next(frames, |frames, head| frames.skip(head))?.is_some() {}
    Ok(())
}

/// Reads a frame. Returns `None` after a Close, which it answers, and whether the frame is the last
/// one of a message, with its length.
fn next<S: Read + Write>(
    frames: &mut Frames<S>,
    mut payload: impl FnMut(&mut Frames<S>, crate::wire::Head) -> io::Result<()>,
) -> io::Result<Option<(bool, usize)>> {
    let head = frames.head()?;
    if head.is_close() {
        frames.skip(head)?;
        frames.stream.write_all(&[CLOSE, 2, 3, 232])?;
        frames.stream.flush()?;
        return Ok(None);
    }
    payload(frames, head)?;
    Ok(Some((head.ends_message(), head.len)))
}

/// Reads a message, and drops it. Returns its length on the wire, or `None` after a Close.
fn skip_message(frames: &mut Frames<impl Read + Write>) -> io::Result<Option<usize>> {
    let mut message = 0;
    while let Some((ends, len)) = next(frames, |frames, head| frames.skip(head))? {
        message += len;
        if ends {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

fn echo(frames: &mut Frames<impl Read + Write>) -> io::Result<()> {
    let (mut first, mut payload) = (0, Vec::new());
    while let Some((ends, _)) = next(frames, |frames, head| {
        if payload.is_empty() {
            first = head.first | 0x80;
        }
        frames.take(head, &mut payload)
    })? {
        if ends {
            frames.stream.write_all(&frame(first, &payload))?;
            frames.stream.flush()?;
            payload.clear();
        }
    }
    Ok(())
}

fn tick(frames: &mut Frames<impl Read + Write>) -> io::Result<()> {
    while skip_message(frames)?.is_some() {
        let message = frame(0x82, &Message::new(Kind::Binary, 16).bytes);
        // Those that are gone, of clients before, are forgotten.
        LISTENERS.lock().unwrap().retain_mut(|listener| listener.write_all(&message).is_ok());
    }
    Ok(())
}

fn blast(
    frames: &mut Frames<impl Read + Write>,
    kind: Kind,
    len: usize,
    counts: &[usize],
    deflate: bool,
) -> io::Result<()> {
    let first = if kind.is_text() { 0x81 } else { 0x82 };
    let payload = Message::new(kind, len).bytes;
    let message = if deflate {
        let mut compressed = Vec::new();
        compress(&mut compressor(15), &payload, |chunk| compressed.extend_from_slice(chunk));
        frame(first | 0x40, &compressed)
    } else {
        frame(first, &payload)
    };
    drop(payload);
    // Many small messages are written at a time.
    let many = (CHUNK / message.len()).max(1);
    let chunk = message.repeat(many);
    for count in counts {
        if skip_message(frames)?.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for _ in 0..count / many {
            frames.stream.write_all(&chunk)?;
        }
        frames.stream.write_all(&chunk[..message.len() * (count % many)])?;
        frames.stream.flush()?;
    }
    Ok(())
}

fn swallow(frames: &mut Frames<impl Read + Write>, len: usize, counts: &[usize]) -> io::Result<()> {
    for &count in counts {
        for _ in 0..count {
            let got = skip_message(frames)?;
            if got.is_none_or(|got| len != 0 && got != len) {
                eprintln!("server: a message of {got:?} bytes instead of {len}");
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        frames.stream.write_all(&header(0, false))?;
        frames.stream.flush()?;
    }
    Ok(())
}

/// Answers the opening handshake, and returns the path.
pub fn shake_hands(stream: &mut (impl Read + Write)) -> io::Result<String> {
    let request = read_request(stream)?;
    answer(stream, &request, false)?;
    Ok(request.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::with_capacity(1024);
    // The client sends nothing more before it has the answer.
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => head.extend_from_slice(&bytes[..len]),
        }
    }
    String::from_utf8(head).map_err(io::Error::other)
}

fn answer(stream: &mut impl Write, request: &str, deflate: bool) -> io::Result<()> {
    let key = request.lines().filter_map(|line| line.split_once(": "));
    let key = key.filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
    let key = key.map(|(_, value)| value).next().unwrap_or_default();
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = BASE64.encode(digest.digest().bytes());
    let extension = if deflate {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover\r\n"
    } else {
        ""
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         {extension}Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}
