//! Meets limits of the system that `run`, in this folder, has made, and holds what happens against
//! what should. Usage: `limits serve CERTIFICATE KEY`, which is the server; or
//! `limits SCENARIO CA.pem PLAIN_PORT TLS_PORT`.

use std::error::Error as StdError;
use std::fs;
use std::hash::RandomState;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use landline::cookie::CookieJar;
use landline::error::TlsProblem;
use landline::tls::TlsOptions;
use landline::{Builder, CloseCode, Error, Keepalive, Message, Timeout, WebSocket};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::server::{Request, Response};

type Outcome = Result<String, Box<dyn StdError>>;

type Scenario = fn(&World) -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("works", works),
    ("not-valid-yet", |world| world.refused(TlsProblem::NotValidYet, true)),
    ("expired", |world| world.refused(TlsProblem::Expired, false)),
    ("wall-clock-jumps", wall_clock_jumps),
    ("monotonic-clock-jumps", monotonic_clock_jumps),
    ("randomness-fails", randomness_fails),
];

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["serve", certificate, key] => serve(certificate, key),
        [name, ca, plain, tls] => {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.0 == name);
            let (_, scenario) = scenario.expect("a scenario");
            scenario(&World { ca: ca.into(), plain: plain.into(), tls: tls.into() })
        }
        _ => Err("usage: limits SCENARIO CA.pem PLAIN_PORT TLS_PORT".into()),
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Names the server.
struct World {
    ca: String,
    plain: String,
    tls: String,
}

impl World {
    fn plain(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.plain)
    }

    fn secure(&self) -> String {
        format!("wss://localhost:{}/", self.tls)
    }

    fn builder(&self) -> Result<Builder, Error> {
        let tls = TlsOptions::new().ca_pem_file(&self.ca)?;
        Ok(Builder::new().proxy(None).keepalive(None).tls(tls))
    }

    /// Fails unless the certificate is refused for this reason.
    fn refused(&self, expected: TlsProblem, retryable: bool) -> Outcome {
        let Err(error) = self.builder()?.connect(&self.secure()) else {
            return Err("the certificate is accepted".into());
        };
        let is_expected = matches!(&error, Error::Tls(tls) if tls.problem() == expected);
        if !is_expected || error.is_retryable() != retryable {
            return Err(format!("{error:?}").into());
        }
        Ok(error.to_string())
    }
}

/// Sends a message, and checks that it comes back.
fn echo(ws: &mut WebSocket, text: &str) -> Result<(), Box<dyn StdError>> {
    ws.send(text)?;
    match ws.recv()? {
        Message::Text(said) if said == text => Ok(()),
        said => Err(format!("{said:?} is not {text:?}").into()),
    }
}

fn close(mut ws: WebSocket) -> Result<(), Box<dyn StdError>> {
    let closed = ws.close(CloseCode::NORMAL)?;
    if closed.is_clean() { Ok(()) } else { Err(format!("{closed:?}").into()) }
}

/// Everything works all the same.
fn works(world: &World) -> Outcome {
    for url in [world.plain(), world.secure()] {
        let mut ws = world.builder()?.connect(&url)?;
        let cookie = ws.recv()?;
        assert_eq!(cookie, Message::from("no cookie"));
        echo(&mut ws, "hello")?;
        close(ws)?;
    }
    Ok("works".into())
}

/// Names the file that the faked clock is read from.
const CLOCK: &str = "FAKETIME_TIMESTAMP_FILE";

/// Makes the faked clock jump, as `faketime` understands it: `+3600s` is an hour ahead.
fn jump(to: &str) -> Result<(), Box<dyn StdError>> {
    Ok(fs::write(std::env::var(CLOCK)?, to)?)
}

/// The wall clock jumps to and fro, as it does when it is set. The monotonic clock goes on.
fn wall_clock_jumps(world: &World) -> Outcome {
    let keepalive = Keepalive::new(Duration::from_millis(50), Duration::from_secs(5));
    let jar = Arc::new(CookieJar::new());
    let builder = world.builder()?.keepalive(keepalive).cookie_store(jar.clone());
    jar.set(&world.plain(), "an=hour; Max-Age=3600")?;
    let now = Instant::now();
    let mut open = [builder.connect(&world.plain())?, builder.connect(&world.secure())?];
    // The cookie is for 127.0.0.1, and TLS is spoken with localhost.
    for (ws, cookie) in open.iter_mut().zip(["an=hour", "no cookie"]) {
        expect(ws, cookie)?;
    }
    for (to, cookie) in [("-20y", "an=hour"), ("+7000s", "no cookie"), ("+20y", "no cookie")] {
        jump(to)?;
        // A certificate is checked once. The open connections do not look at this clock.
        for ws in &mut open {
            echo(ws, to)?;
            let begun = Instant::now();
            let said = ws.recv_timeout(Duration::from_millis(120));
            let took = begun.elapsed();
            if !matches!(said, Err(Error::Timeout(Timeout::Recv))) || took.as_secs() > 1 {
                return Err(format!("{said:?} after {took:?}").into());
            }
        }
        expect(&mut builder.connect(&world.plain())?, cookie)?;
    }
    let pings = open.each_ref().map(|ws| ws.counters().sent.pings);
    open.into_iter().try_for_each(close)?;
    if pings.contains(&0) || now.elapsed().as_secs() > 10 {
        return Err(format!("{pings:?} pings in {:?}", now.elapsed()).into());
    }
    Ok("connections go on; cookies expire by the new time".into())
}

/// Receives the first message, the cookies that the server was sent.
fn expect(ws: &mut WebSocket, cookies: &str) -> Result<(), Box<dyn StdError>> {
    let said = ws.recv()?;
    if said != Message::from(cookies) {
        return Err(format!("{said:?} is not {cookies:?}").into());
    }
    Ok(())
}

/// The monotonic clock jumps ahead, as that of Windows does while the machine sleeps.
fn monotonic_clock_jumps(world: &World) -> Outcome {
    let hour = Duration::from_secs(3600);
    let keepalive = Keepalive::new(hour / 2, Duration::from_secs(10));
    let builder = world.builder()?.keepalive(keepalive).close_timeout(Duration::from_secs(10));
    let mut open = [builder.connect(&world.plain())?, builder.connect(&world.secure())?];
    for ws in &mut open {
        expect(ws, "no cookie")?;
        echo(ws, "before")?;
    }
    let now = Instant::now();
    jump("+7200s")?;
    if now.elapsed() < hour {
        return Err("the clock did not jump".into());
    }
    for ws in &mut open {
        // A ping is due, and is answered.
        echo(ws, "after")?;
        let said = ws.recv_timeout(Duration::from_millis(300));
        if !matches!(said, Err(Error::Timeout(Timeout::Recv))) {
            return Err(format!("{said:?}").into());
        }
        echo(ws, "still after")?;
        if ws.latency().is_none() || ws.counters().sent.pings != 1 {
            return Err(format!("{:?}, latency {:?}", ws.counters(), ws.latency()).into());
        }
    }
    open.into_iter().try_for_each(close)?;
    Ok("a ping was sent, and answered; connections go on".into())
}

/// The system's source of randomness fails, from some call on.
fn randomness_fails(world: &World) -> Outcome {
    // A `HashMap` takes random keys once for each thread, and panics if it gets none. rustls has
    // one.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let keys = panic::catch_unwind(RandomState::new);
    panic::set_hook(hook);
    if keys.is_err() {
        return Ok("a HashMap cannot be made".into());
    }
    let builder = world.builder()?;
    let said = |what: &str, error: Error| match &error {
        Error::Io(_) | Error::Local(_) if error.is_retryable() => Ok(format!("{what}: {error}")),
        _ => Err(format!("{what}: {error:?}").into()),
    };
    for url in [world.plain(), world.secure()] {
        let mut ws = match builder.connect(&url) {
            Ok(ws) => ws,
            Err(error) => return said("connecting", error),
        };
        expect(&mut ws, "no cookie")?;
        // The keys of frames are taken in stock, so it takes some frames until new ones are needed.
        for _ in 0..2000 {
            if let Err(error) = ws.send("x") {
                return said("sending", error);
            }
            if let Err(error) = ws.recv() {
                return said("receiving", error);
            }
        }
        close(ws)?;
    }
    Ok("nothing failed".into())
}

/// Serves on two ports, until it is killed: without TLS and with TLS. Says which cookies it was
/// sent, and echoes.
fn serve(certificate: &str, key: &str) -> Outcome {
    let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
    let config = Arc::new(config);
    let (plain, tls) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    println!("{} {}", plain.local_addr()?.port(), tls.local_addr()?.port());
    thread::spawn(move || {
        for stream in plain.incoming().flatten() {
            thread::spawn(|| converse(stream));
        }
    });
    for stream in tls.incoming().flatten() {
        let session = ServerConnection::new(config.clone())?;
        thread::spawn(|| converse(StreamOwned::new(session, stream)));
    }
    Ok(String::new())
}

fn converse(stream: impl Read + Write) {
    let mut cookies = String::from("no cookie");
    #[allow(clippy::result_large_err)] // The type is that of tungstenite.
    let sees = |request: &Request, response: Response| {
        if let Some(sent) = request.headers().get("Cookie").and_then(|sent| sent.to_str().ok()) {
            sent.clone_into(&mut cookies);
        }
        Ok(response)
    };
    // The client may give up at any time.
    let Ok(mut ws) = tungstenite::accept_hdr(stream, sees) else { return };
    let _ = ws.send(cookies.into());
    while let Ok(message) = ws.read() {
        if message.is_text() && ws.send(message).is_err() {
            return;
        }
    }
}
