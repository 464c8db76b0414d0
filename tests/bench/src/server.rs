//! A server that only moves bytes. After the opening handshake the path says which:
//!
//! * `/echo/LEN`: answers each frame of LEN bytes of payload with another one of that length.
//! * `/blast/LEN/COUNT`: waits for any bytes, then sends COUNT messages of LEN bytes.
//! * `/swallow/BYTES`: reads BYTES bytes, then sends one empty message.
//! * Any other path: reads until the end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::Certificate;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::wire::{frame_len, header};

/// The number of bytes that are read and written at a time.
const CHUNK: usize = 64 * 1024;

/// Serves plain connections, one thread each. Returns the address.
pub fn plain() -> SocketAddr {
    listen(serve)
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

/// Serves TLS connections. Returns the address, and the config of a client that trusts the server.
pub fn tls() -> (SocketAddr, Arc<ClientConfig>) {
    let (server, certificate) = tls_config();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let address = listen(move |stream| {
        let connection = ServerConnection::new(server.clone()).map_err(io::Error::other)?;
        serve(StreamOwned::new(connection, stream))
    });
    (address, Arc::new(client))
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

fn serve(mut stream: impl Read + Write) -> io::Result<()> {
    let path = shake_hands(&mut stream)?;
    let mut words = path.split('/').skip(1);
    let task = words.next().unwrap_or_default().to_owned();
    let mut number = || words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
    match &task[..] {
        "echo" => echo(&mut stream, number())?,
        "blast" => blast(&mut stream, number(), number())?,
        "swallow" => swallow(&mut stream, number())?,
        _ => {}
    }
    stream.flush()?;
    io::copy(&mut stream, &mut io::sink())?;
    Ok(())
}

/// Answers the opening handshake, and returns the path.
pub fn shake_hands(stream: &mut (impl Read + Write)) -> io::Result<String> {
    let mut head = Vec::with_capacity(1024);
    // The client sends nothing more before it has the answer.
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => head.extend_from_slice(&bytes[..len]),
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let key = head.lines().filter_map(|line| line.split_once(": "));
    let key = key.filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
    let key = key.map(|(_, value)| value).next().unwrap_or_default();
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = BASE64.encode(digest.digest().bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    stream.flush()?;
    Ok(path)
}

fn echo(stream: &mut (impl Read + Write), len: usize) -> io::Result<()> {
    let mut request = vec![0; frame_len(len, true)];
    let mut answer = header(len, false);
    answer.resize(answer.len() + len, 0);
    loop {
        stream.read_exact(&mut request)?;
        if request[0] & 0x0F != 2 {
            return Ok(());
        }
        stream.write_all(&answer)?;
        stream.flush()?;
    }
}

fn blast(stream: &mut (impl Read + Write), len: usize, count: usize) -> io::Result<()> {
    let mut message = header(len, false);
    message.resize(message.len() + len, 0);
    let _ = stream.read(&mut [0; 1024])?;
    // Many small messages are written at a time.
    let many = (CHUNK / message.len()).clamp(1, count);
    let chunk = message.repeat(many);
    for _ in 0..count / many {
        stream.write_all(&chunk)?;
    }
    for _ in 0..count % many {
        stream.write_all(&message)?;
    }
    Ok(())
}

fn swallow(stream: &mut (impl Read + Write), bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => left = left.saturating_sub(len),
        }
    }
    stream.write_all(&header(0, false))
}
