//! `soak server` echoes with tungstenite. It is a process of its own, so that it can be killed.
//!
//! * stdin: the certificate and its key, as PEM. Then stdin stays open while the parent lives.
//! * stdout: `port N`, and a line `bad ...` for each thing that a client must not do.
//! * The query of the URL says how the server behaves; see [`Manner`]. The port is the same for
//!   plain and TLS connections.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use tungstenite::error::ProtocolError;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

use crate::payload::{ASK, Chain, Stamp};

/// Ends the list of PEM blocks on stdin.
pub const END: &str = "end";
/// The limit of a message, far above the largest one.
const LIMIT: usize = 64 << 20;

pub fn run() -> io::Result<()> {
    let mut pem = String::new();
    for line in io::stdin().lock().lines() {
        match line? {
            line if line == END => break,
            line => pem.extend([&line, "\n"]),
        }
    }
    let tls = config(pem.as_bytes()).map_err(io::Error::other)?;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    // After a restart all clients connect at once.
    listener.listen(4096)?;
    let listener = TcpListener::from(listener);
    say(format_args!("port {}", listener.local_addr()?.port()));
    for stream in listener.incoming() {
        let (stream, tls) = (stream?, tls.clone());
        thread::spawn(move || match serve(stream, tls) {
            Ok(()) => {}
            Err(error) if is_fault(&error) => {}
            Err(error) => say(format_args!("bad {error}")),
        });
    }
    Ok(())
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn config(pem: &[u8]) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error + Send + Sync>> {
    let certificate = CertificateDer::from_pem_slice(pem)?;
    let key = PrivateKeyDer::from_pem_slice(pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

/// Returns whether the error is a fault of the client. Broken connections are not: the soak breaks
/// them. Bytes that TLS accepted and that are wrong are a fault.
fn is_fault(error: &Error) -> bool {
    use ProtocolError::{HandshakeIncomplete, ResetWithoutClosingHandshake};
    use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, NotConnected, UnexpectedEof};
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => true,
        Error::Protocol(HandshakeIncomplete | ResetWithoutClosingHandshake) => true,
        // TLS found a bit that was flipped.
        Error::Io(error) => matches!(
            error.kind(),
            BrokenPipe | ConnectionReset | InvalidData | NotConnected | UnexpectedEof
        ),
        _ => false,
    }
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first)?;
    // 22 begins a TLS record of the handshake.
    if first != [22] {
        return echo(stream);
    }
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    echo(StreamOwned::new(connection, stream))
}

/// Says how the server behaves to one client.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    pub seed: u64,
    /// The server answers in fragments.
    pub fragments: bool,
    /// The server sends pings before answers and between fragments.
    pub pings: bool,
    /// The number of messages after which the server sends a Close; 0 is never.
    pub close_after: u64,
    /// The number of messages after which the server cuts the connection; 0 is never.
    pub drop_after: u64,
}

impl Manner {
    pub const CLOSE: (u16, &str) = (4321, "enough");

    pub fn query(&self) -> String {
        let Self { seed, fragments, pings, close_after, drop_after } = self;
        let (fragments, pings) = (u8::from(*fragments), u8::from(*pings));
        format!("{seed}/{fragments}/{pings}/{close_after}/{drop_after}")
    }

    fn parse(query: &str) -> Self {
        let mut numbers = query.split('/').map(|number| number.parse().unwrap_or(0));
        let mut number = || numbers.next().unwrap_or(0);
        Self {
            seed: number(),
            fragments: number() > 0,
            pings: number() > 0,
            close_after: number(),
            drop_after: number(),
        }
    }
}

fn echo(stream: impl Read + Write) -> Result<(), Error> {
    let mut manner = Manner::default();
    #[allow(clippy::result_large_err)] // The type is tungstenite's.
    let callback = |request: &Request, response: Response| {
        manner = Manner::parse(request.uri().query().unwrap_or_default());
        Ok(response)
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let socket = tungstenite::accept_hdr_with_config(stream, callback, Some(config));
    let socket = socket.map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        interrupted => Error::Io(io::Error::other(interrupted.to_string())),
    })?;
    let rng = fastrand::Rng::with_seed(manner.seed);
    Echo { socket, manner, rng, got: 0, chain: Chain::default(), pings: VecDeque::new() }.run()
}

struct Echo<S> {
    socket: WebSocket<S>,
    manner: Manner,
    rng: fastrand::Rng,
    got: u64,
    chain: Chain,
    pings: VecDeque<Bytes>,
}

impl<S: Read + Write> Echo<S> {
    fn run(mut self) -> Result<(), Error> {
        loop {
            match self.socket.read()? {
                Message::Text(text) if text == ASK => {
                    self.socket.send(self.chain.to_string().into())?;
                }
                Message::Text(text) => self.answer(true, text.into())?,
                Message::Binary(bytes) => self.answer(false, bytes)?,
                Message::Pong(payload) => self.pong(&payload),
                Message::Ping(_) | Message::Close(_) | Message::Frame(_) => {}
            }
            if self.got > 0 && self.got == self.manner.drop_after {
                return Ok(());
            }
            if self.got > 0 && self.got == self.manner.close_after {
                let (code, reason) = Manner::CLOSE;
                let code = CloseCode::from(code);
                self.socket.close(Some(CloseFrame { code, reason: reason.into() }))?;
                loop {
                    self.socket.read()?;
                }
            }
        }
    }

    fn answer(&mut self, text: bool, payload: Bytes) -> Result<(), Error> {
        self.chain.add(Stamp::of(text, &payload));
        self.got += 1;
        self.ping()?;
        let mut opcode = OpCode::Data(if text { Data::Text } else { Data::Binary });
        let mut rest = payload;
        while self.manner.fragments && self.rng.u8(..) < 200 {
            // Some fragments are empty.
            let fragment = rest.split_to(self.rng.usize(..=rest.len()));
            self.socket.write(Message::Frame(Frame::message(fragment, opcode, false)))?;
            opcode = OpCode::Data(Data::Continue);
            self.ping()?;
        }
        self.socket.send(Message::Frame(Frame::message(rest, opcode, true)))
    }

    fn ping(&mut self) -> Result<(), Error> {
        if self.manner.pings && self.rng.u8(..) < 50 {
            let mut payload = vec![0; self.rng.usize(..=125)];
            self.rng.fill(&mut payload);
            let payload = Bytes::from(payload);
            self.pings.push_back(payload.clone());
            self.socket.write(Message::Ping(payload))?;
        }
        Ok(())
    }

    /// Checks that a Pong answers one of the pings. A client may answer only the latest of several
    /// (RFC 6455 section 5.5.3).
    fn pong(&mut self, payload: &Bytes) {
        match self.pings.iter().position(|ping| ping == payload) {
            Some(at) => drop(self.pings.drain(..=at)),
            None => say(format_args!("bad pong {payload:?}, which answers no ping")),
        }
    }
}
