//! Full duplex over TLS on one connection: two threads send while the main thread receives.
//!
//! ```sh
//! cargo run --example two_threads    # against a server that it starts itself
//! ```
//!
//! It makes the server's certificate on the spot, and trusts that certificate only.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use landline::tls::TlsOptions;
use landline::{Builder, CloseCode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const MESSAGES: usize = 1000;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.cert.der().clone()],
            PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()).into(),
        )?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("wss://localhost:{}/", listener.local_addr()?.port());
    let server = thread::spawn(move || echo(listener.accept()?.0, config));

    let tls = TlsOptions::new().ca_pem(certificate.cert.pem().as_bytes())?;
    let ws = Builder::new().proxy(None).tls(tls).connect(&url)?;
    let (mut receiver, sender) = ws.split();

    let senders: Vec<_> = ["left", "right"]
        .into_iter()
        .map(|name| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    sender.send(format!("{name} {number}"))?;
                }
                println!("{name}: sent {MESSAGES} messages");
                Ok::<_, landline::Error>(())
            })
        })
        .collect();

    // The main thread receives what both send; each thread's messages come in order.
    let (mut left, mut right) = (0, 0);
    while left + right < 2 * MESSAGES {
        let message = receiver.recv()?;
        let text = message.as_text().ok_or("the echo is not text")?;
        let (name, number) = text.split_once(' ').ok_or("the echo is not NAME NUMBER")?;
        let count = if name == "left" { &mut left } else { &mut right };
        assert_eq!(number.parse(), Ok(*count), "{name} is out of order");
        *count += 1;
    }
    println!("received {left} from left and {right} from right, each in order");

    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    sender.close(CloseCode::NORMAL)?;
    for message in receiver.messages() {
        println!("an unexpected message: {:?}", message?);
    }
    println!("closed cleanly");
    server.join().map_err(|_| "the server panicked")?
}

/// Serves one connection over TLS as an echo server.
fn echo(stream: TcpStream, config: ServerConfig) -> Result<(), Box<dyn Error + Send + Sync>> {
    let tls = StreamOwned::new(ServerConnection::new(Arc::new(config))?, stream);
    let mut server = tungstenite::accept(tls).map_err(|error| error.to_string())?;
    loop {
        match server.read() {
            Ok(message) if message.is_text() => server.send(message)?,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
