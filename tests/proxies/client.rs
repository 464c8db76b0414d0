//! Plays every scenario through every proxy that `run`, in this folder, has started.
//!
//! Usage: `proxies serve CERTIFICATE KEY`, which is the server; or
//! `proxies CA.pem PLAIN_PORT TLS_PORT NAME=URL...`, where URL is a proxy's, `environment`, or that
//! of a server which stands in front of ours.

use std::error::Error as StdError;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use landline::error::{ProxyProblem, SocksError};
use landline::proxy::Proxy;
use landline::tls::TlsOptions;
use landline::{Builder, CloseCode, Error, Keepalive, Message};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A scenario that takes this long hangs.
const SCENARIO_LIMIT: Duration = Duration::from_secs(30);

/// Fails by an error or by a panic, whichever reads better; `None` where it makes no sense.
type Outcome = Result<Option<()>, Box<dyn StdError + Send + Sync>>;

type Scenario = fn(&Way) -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("ws name", |way| way.echo("ws", "localhost")),
    ("ws IPv4", |way| way.echo("ws", "127.0.0.1")),
    ("ws IPv6", |way| way.echo("ws", "[::1]")),
    ("wss name", |way| way.echo("wss", "localhost")),
    ("wss IPv4", |way| way.echo("wss", "127.0.0.1")),
    ("wss IPv6", |way| way.echo("wss", "[::1]")),
    ("16 MiB 2 ways", floods),
    ("bad password", wrong_password),
    ("bad port", refused_destination),
    ("bad name", unknown_name),
    ("idle 4 s", idle),
];

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", certificate, key] => match serve(certificate, key) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => panic!("{error}"),
        },
        [ca, plain, tls, ref ways @ ..] if !ways.is_empty() => {
            let ways = ways.iter().map(|way| Way::parse(way, ca, [plain, tls]));
            play_all(&ways.collect::<Vec<_>>())
        }
        _ => {
            eprintln!("usage: proxies CA.pem PLAIN_PORT TLS_PORT NAME=URL...");
            ExitCode::from(2)
        }
    }
}

fn play_all(ways: &[Way]) -> ExitCode {
    let started = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    print!("{:<24}", "");
    SCENARIOS.iter().for_each(|(name, _)| print!(" {name:>13}"));
    println!();
    for way in ways {
        // The scenarios of a way at once: some wait for something.
        let outcomes = SCENARIOS.iter().map(|&(name, scenario)| {
            let (done, outcome) = mpsc::channel();
            let its_way = way.clone();
            thread::spawn(move || done.send(scenario(&its_way)));
            (name, outcome)
        });
        print!("{:<24}", way.name);
        for (name, outcome) in outcomes.collect::<Vec<_>>() {
            let failure = match outcome.recv_timeout(SCENARIO_LIMIT) {
                Ok(Ok(Some(()))) => {
                    passed += 1;
                    print!(" {:>13}", "ok");
                    continue;
                }
                Ok(Ok(None)) => {
                    print!(" {:>13}", "-");
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(RecvTimeoutError::Timeout) => "hung".to_owned(),
                Err(RecvTimeoutError::Disconnected) => "panicked, see above".to_owned(),
            };
            failed += 1;
            print!(" {:>13}", "FAILED");
            eprintln!("\n{}, {name}: {failure}", way.name);
        }
        println!();
    }
    println!("in {:.1} s", started.elapsed().as_secs_f64());
    println!("proxies: {passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// A way to our server.
#[derive(Clone)]
struct Way {
    name: String,
    kind: Kind,
    ports: [String; 2],
    tls: TlsOptions,
}

#[derive(Clone)]
enum Kind {
    Proxy(String),
    Environment,
    /// A server in front of ours.
    Front(String),
}

impl Way {
    fn parse(arg: &str, ca: &str, ports: [&str; 2]) -> Self {
        let (name, url) = arg.split_once('=').expect("NAME=URL");
        let kind = match url {
            "environment" => Kind::Environment,
            url if url.starts_with("ws") => Kind::Front(url.to_owned()),
            url => Kind::Proxy(url.to_owned()),
        };
        let tls = TlsOptions::new().ca_pem_file(ca).expect("the authority's certificate");
        Self { name: name.to_owned(), kind, ports: ports.map(str::to_owned), tls }
    }

    fn scheme(&self) -> &str {
        match &self.kind {
            Kind::Proxy(url) => url.split("://").next().unwrap_or_default(),
            Kind::Environment | Kind::Front(_) => "",
        }
    }

    fn is_proxy(&self) -> bool {
        !matches!(self.kind, Kind::Front(_))
    }

    fn builder(&self) -> Result<Builder, Error> {
        let builder = Builder::new().tls(self.tls.clone()).keepalive(Keepalive::OFF);
        match &self.kind {
            Kind::Proxy(url) => Ok(builder.proxy(Proxy::new(url)?.tls(self.tls.clone()))),
            // Our server is on this machine, which the environment's proxy is not used for. So it
            // is asked which proxy leads elsewhere.
            Kind::Environment => {
                let named = Proxy::from_environment("ws://server.example/")?;
                let named = named.expect("a proxy in the environment").to_string();
                Ok(builder.proxy(Proxy::new(&named)?))
            }
            Kind::Front(_) => Ok(builder.proxy(None)),
        }
    }

    /// The URL of our server by this scheme and host, if there is one on this way.
    fn url(&self, scheme: &str, host: &str) -> Option<String> {
        let port = &self.ports[usize::from(scheme == "wss")];
        match &self.kind {
            Kind::Front(url) => {
                let own = url.split(':').next() == Some(scheme) && host == "localhost";
                own.then(|| url.clone())
            }
            // SOCKS 4 has no IPv6; and not every machine has.
            Kind::Proxy(_) | Kind::Environment => {
                let v6 = host.starts_with('[');
                let cannot = v6 && (self.scheme().starts_with("socks4") || !has_ipv6());
                (!cannot).then(|| format!("{scheme}://{host}:{port}/"))
            }
        }
    }

    fn echo(&self, scheme: &str, host: &str) -> Outcome {
        let Some(url) = self.url(scheme, host) else { return Ok(None) };
        let mut ws = self.builder()?.connect(&url)?;
        let messages = [Message::from("Καλημέρα"), Message::Binary(vec![7; 100_000])];
        for message in messages {
            ws.send(&message)?;
            assert!(ws.recv()? == message, "another message came back");
        }
        let closed = ws.close(CloseCode::NORMAL)?;
        assert!(closed.is_clean(), "{closed:?}");
        Ok(Some(()))
    }
}

fn has_ipv6() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| TcpListener::bind("[::1]:0").is_ok())
}

/// One thread sends while the other receives, over TLS.
fn floods(way: &Way) -> Outcome {
    const SIZE: usize = 256 * 1024;
    const COUNT: u8 = 64;
    // microsocks moves bytes one way at a time, and hangs once both are full.
    let url = way.url("wss", "localhost").filter(|_| !way.name.starts_with("microsocks"));
    let Some(url) = url else { return Ok(None) };
    let (mut receiver, sender) = way.builder()?.connect(&url)?.split();
    let sending = thread::spawn(move || {
        (0..COUNT).try_for_each(|n| sender.send(vec![n; SIZE])).map(|()| sender)
    });
    for n in 0..COUNT {
        assert!(receiver.recv()? == Message::Binary(vec![n; SIZE]), "message {n} is another");
    }
    let sender = sending.join().map_err(|_| "the sender panicked")??;
    sender.close(CloseCode::NORMAL)?;
    match receiver.recv() {
        Err(Error::Closed(closed)) if closed.is_clean() => Ok(Some(())),
        other => panic!("expected a clean close, not {other:?}"),
    }
}

fn wrong_password(way: &Way) -> Outcome {
    // Another user too: squid gives requests of one user, sent at the same time, one verdict.
    let wrong = match &way.kind {
        Kind::Proxy(url) if url.contains("user:right") => {
            url.replace("user:right", "other:mistaken")
        }
        _ => return Ok(None),
    };
    let wrong = Way { kind: Kind::Proxy(wrong), ..way.clone() };
    let url = wrong.url("ws", "127.0.0.1").ok_or("no URL")?;
    let refused = match wrong.builder()?.connect(&url) {
        Err(Error::Proxy(refused)) => refused,
        other => panic!("expected a refusal, not {other:?}"),
    };
    match refused.problem() {
        // tinyproxy says 401 where it should say 407.
        ProxyProblem::Refused(response) => assert!(matches!(response.status(), 401 | 407)),
        ProxyProblem::Socks(SocksError::WrongPassword) => {}
        other => panic!("expected a refusal of the password, not {other:?}"),
    }
    assert!(!refused.to_string().contains("mistaken"), "{refused}");
    Ok(Some(()))
}

fn refused_destination(way: &Way) -> Outcome {
    if !way.is_proxy() {
        return Ok(None);
    }
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    match way.builder()?.connect(&format!("ws://{nobody}/")) {
        Err(Error::Proxy(refused)) => match refused.problem() {
            ProxyProblem::Refused(_) | ProxyProblem::Socks(_) => Ok(Some(())),
            // ssh hangs up instead of an answer.
            ProxyProblem::Eof if way.name.starts_with("ssh") => Ok(Some(())),
            other => panic!("expected a refusal, not {other:?}"),
        },
        other => panic!("expected a refusal, not {other:?}"),
    }
}

fn unknown_name(way: &Way) -> Outcome {
    if !way.is_proxy() {
        return Ok(None);
    }
    let (mut builder, by_us) = (way.builder()?, matches!(way.scheme(), "socks4" | "socks5"));
    if by_us {
        // A name server that is slow or silent would delay the answer of the system's.
        builder = builder.resolver(|_, _| Err(io::ErrorKind::NotFound.into()));
    }
    match builder.connect("ws://no-such-name.invalid/") {
        Err(Error::Connect(_)) if by_us => Ok(Some(())),
        Err(Error::Proxy(_)) => Ok(Some(())),
        other => panic!("expected a refusal, not {other:?}"),
    }
}

/// Through what cuts connections that are silent for a second: only pings keep them.
fn idle(way: &Way) -> Outcome {
    if !way.name.contains("idle") {
        return Ok(None);
    }
    let url = way.url("wss", "localhost").ok_or("no URL")?;
    let mut silent = way.builder()?.connect(&url)?;
    let pings = Keepalive::default().interval(Duration::from_millis(300));
    let mut pinging = way.builder()?.keepalive(pings).connect(&url)?;
    let quiet = thread::spawn(move || silent.recv_timeout(Duration::from_secs(4)));
    match pinging.recv_timeout(Duration::from_secs(4)) {
        Err(Error::Timeout(_)) => {}
        other => panic!("the pings did not keep it: {other:?}"),
    }
    pinging.send("still here")?;
    assert_eq!(pinging.recv()?, Message::from("still here"));
    match quiet.join() {
        Ok(Err(Error::Closed(closed))) => assert!(!closed.is_clean()),
        other => panic!("it was not cut, so the pings kept nothing: {other:?}"),
    }
    Ok(Some(()))
}

/// An echo server, plain and TLS, which says its ports.
fn serve(certificate: &str, key: &str) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let chain =
        CertificateDer::pem_slice_iter(&fs::read(certificate)?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let config = Arc::new(config);
    let mut ports = Vec::new();
    for secure in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        ports.push(port.to_string());
        // The same port, so that a name that has both families finds it on each.
        let v6 = TcpListener::bind(("::1", port));
        for listener in [Ok(listener), v6].into_iter().flatten() {
            let config = secure.then(|| config.clone());
            thread::spawn(move || accept(&listener, config.as_ref()));
        }
    }
    println!("PORT {}", ports.join(" "));
    loop {
        thread::park();
    }
}

fn accept(listener: &TcpListener, config: Option<&Arc<ServerConfig>>) {
    for stream in listener.incoming().flatten() {
        let config = config.cloned();
        thread::spawn(move || match config {
            Some(config) => {
                let tls = ServerConnection::new(config).expect("a good configuration");
                echo(StreamOwned::new(tls, stream));
            }
            None => echo(stream),
        });
    }
}

/// A client that goes away is no matter here.
fn echo(stream: impl Read + Write) {
    let Ok(mut server) = tungstenite::accept(stream) else { return };
    while let Ok(message) = server.read() {
        let wants_answer = message.is_text() || message.is_binary();
        if wants_answer && server.send(message).is_err() {
            return;
        }
    }
}
