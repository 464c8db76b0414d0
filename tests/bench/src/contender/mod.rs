//! The contenders: landline, its peers, and a bare stream that moves the same bytes. Each has a
//! file. Beast is a program of its own (`beast/beast.cpp`).

mod bare;
mod fastwebsockets;
mod landline;
mod nexus_web;
mod runtime;
mod tokio_websockets;
mod tungstenite;
mod ws_tool;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::message::{Expected, Message};

/// The number of messages in a batch.
pub const BATCH: usize = 64;
/// Above the longest message that is measured. Some peers refuse such messages by default.
const MOST: usize = 65 << 20;
/// The stack of each thread that listens.
const STACK: usize = 64 * 1024;

/// Is an open connection, with the verbs that all contenders have. Anything unexpected panics.
pub trait Connection: Send {
    /// Receives `count` messages.
    fn receive(&mut self, count: usize, expected: &Expected);

    /// Sends the message `count` times. Hands each to the system by itself.
    fn send(&mut self, message: &Message, count: usize);

    /// Sends [`BATCH`] messages together, `batches` times.
    fn send_batches(&mut self, message: &Message, batches: usize);

    /// Sends a message and receives the answer, once for each of `trips`. Writes the nanoseconds
    /// that it took there.
    fn echo(&mut self, message: &Message, expected: &Expected, trips: &mut [u64]) {
        for trip in trips {
            let began = Instant::now();
            self.send(message, 1);
            self.receive(1, expected);
            *trip = nanoseconds(began);
        }
    }

    /// Makes the closing handshake, and waits for its end.
    fn close(self: Box<Self>);

    /// Receives a message if it is there, without waiting. Returns whether it was. Only the
    /// contenders that the report asks for it have such a call.
    fn poll(&mut self, _: &Expected) -> bool {
        panic!("this client has no call that receives without waiting")
    }

    /// Drops the message that [`poll`](Self::poll) received. Giving back the memory of a long
    /// message takes milliseconds, which are not those of the call.
    fn drop_polled(&mut self) {}
}

/// Names a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// landline with `next_event`, which lends the message.
    Landline,
    /// landline with `recv`, which returns the message.
    LandlineOwned,
    NexusWeb,
    NexusWebOwned,
    WsTool,
    Tungstenite,
    Fastwebsockets,
    TokioWebsockets,
    Bare,
}

impl Who {
    pub const ALL: [Self; 9] = [
        Self::Landline,
        Self::LandlineOwned,
        Self::NexusWeb,
        Self::NexusWebOwned,
        Self::WsTool,
        Self::Tungstenite,
        Self::Fastwebsockets,
        Self::TokioWebsockets,
        Self::Bare,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Landline => "landline",
            Self::LandlineOwned => "landline-owned",
            Self::NexusWeb => "nexus-web",
            Self::NexusWebOwned => "nexus-web-owned",
            Self::WsTool => "ws-tool",
            Self::Tungstenite => "tungstenite",
            Self::Fastwebsockets => "fastwebsockets",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Bare => "bare",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|who| who.name() == name)
    }
}

/// Says how the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Tls,
    /// Plain TCP, with messages that are compressed.
    Deflate,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Deflate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::Deflate => "deflate",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }
}

/// Says where the server is, and how to reach it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The trust in the server, if it uses TLS.
    pub tls: Option<Arc<ClientConfig>>,
    pub deflate: bool,
    /// The length of the longest message that is sent.
    pub longest: usize,
}

impl Target {
    pub fn plain(address: SocketAddr, deflate: bool) -> Self {
        Self { address, tls: None, deflate, longest: 0 }
    }

    /// Trusts the certificate. Resumes sessions if told to.
    pub fn tls(address: SocketAddr, pem: &[u8], resume: bool) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resume {
            client.resumption = Resumption::disabled();
        }
        Self { address, tls: Some(Arc::new(client)), deflate: false, longest: 0 }
    }

    /// Opens a connection. The path says what the server does.
    pub fn connect(&self, who: Who, path: &str) -> Box<dyn Connection> {
        match who {
            Who::Landline => Box::new(landline::connect(self, path, false)),
            Who::LandlineOwned => Box::new(landline::connect(self, path, true)),
            Who::NexusWeb => nexus_web::connect(self, path, false),
            Who::NexusWebOwned => nexus_web::connect(self, path, true),
            Who::WsTool => ws_tool::connect(self, path),
            Who::Tungstenite => tungstenite::connect(self, path),
            Who::Fastwebsockets => fastwebsockets::connect(self, path),
            Who::TokioWebsockets => tokio_websockets::connect(self, path),
            Who::Bare => bare::connect(self, path),
        }
    }

    /// Opens `count` plain connections, and says so to `heard` for each message that one of them
    /// receives. Those that block have a thread each, the others are tasks of one thread.
    pub fn listen(&self, who: Who, count: usize, expected: &Expected, heard: &Sender<()>) {
        match who {
            Who::Fastwebsockets => fastwebsockets::listen(self, count, expected, heard),
            Who::TokioWebsockets => tokio_websockets::listen(self, count, expected, heard),
            _ => {
                for _ in 0..count {
                    let mut connection = self.connect(who, "/listen");
                    let (expected, heard) = (expected.clone(), heard.clone());
                    let listen = move || loop {
                        connection.receive(1, &expected);
                        heard.send(()).unwrap();
                    };
                    thread::Builder::new().stack_size(STACK).spawn(listen).unwrap();
                }
            }
        }
    }

    fn url(&self, path: &str) -> String {
        match &self.tls {
            Some(_) => format!("wss://localhost:{}{path}", self.address.port()),
            None => format!("ws://{}{path}", self.address),
        }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn rustls(&self, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
        let name = "localhost".try_into().unwrap();
        StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), self.tcp())
    }
}

pub fn nanoseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap()
}
