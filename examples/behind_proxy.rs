//! Connects through a proxy, and handles a refusal of the proxy.
//!
//! ```sh
//! # Through a proxy that wants a password, to an echo server. It starts both itself:
//! cargo run --example behind_proxy
//! # Through your proxy, to your server, which must echo:
//! cargo run --example behind_proxy -- wss://example.com/ socks5h://user:password@localhost:1080
//! # Through the proxy that the environment names:
//! HTTPS_PROXY=http://localhost:3128 cargo run --example behind_proxy -- wss://example.com/
//! ```

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use landline::error::ProxyProblem;
use landline::proxy::Proxy;
use landline::{Builder, CloseCode};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match &args[..] {
        [] => embedded(),
        [url] => {
            match Proxy::from_environment(url)? {
                Some(proxy) => println!("the environment names {proxy}"),
                None => println!("the environment names no proxy for this URL"),
            }
            talk(&Builder::new(), url)
        }
        [url, proxy] => talk(&Builder::new().proxy(Proxy::new(proxy)?), url),
        _ => Err("usage: behind_proxy [URL [PROXY]]".into()),
    }
}

/// Talks to a server of its own through a proxy of its own, without and with the password.
fn embedded() -> Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    thread::spawn(move || server.incoming().flatten().for_each(echo));
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    let place = proxy.local_addr()?;
    thread::spawn(move || {
        for client in proxy.incoming().flatten() {
            thread::spawn(move || lead(client));
        }
    });

    // The proxy looks the name up, so it may be a name that only the proxy knows.
    let url = format!("ws://localhost:{port}/");
    let proxy = Proxy::new(&format!("http://{place}"))?;
    match Builder::new().proxy(proxy.clone()).connect(&url) {
        Err(landline::Error::Proxy(refused)) => {
            if let ProxyProblem::Refused(response) = refused.problem() {
                println!(
                    "without a password the proxy refuses: {} {}",
                    response.status(),
                    response.reason()
                );
            }
        }
        other => return Err(format!("the proxy should have refused: {other:?}").into()),
    }
    talk(&Builder::new().proxy(proxy.credentials("user", "secret")?), &url)
}

fn talk(builder: &Builder, url: &str) -> Result<()> {
    let mut ws = builder.connect(url)?;
    println!("connected to {url}");
    if let Some(addr) = ws.peer_addr() {
        println!("the socket is connected to {addr}: the proxy, if there is one");
    }
    ws.send("hello through the proxy")?;
    println!("received {:?}", ws.recv()?);
    println!("{}", ws.close(CloseCode::NORMAL)?);
    Ok(())
}

/// Serves one client as a small HTTP proxy: CONNECT, for the user "user" with the password
/// "secret".
fn lead(client: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push(line.trim_end().to_owned());
        line.clear();
    }
    let mut client = &client;
    if !head.iter().any(|line| line == "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=") {
        client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        )?;
        return Ok(());
    }
    let target = head[0].split(' ').nth(1).ok_or("no target")?;
    println!("(the proxy is asked for a way to {target})");
    let server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let upwards = server.try_clone()?;
    thread::spawn(move || pump(reader, &upwards));
    pump(&server, client);
    Ok(())
}

/// Copies all bytes one way.
fn pump(mut from: impl Read, mut to: &TcpStream) {
    // Either end may leave at any time.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Serves one client as an echo server.
fn echo(client: TcpStream) {
    let Ok(mut server) = tungstenite::accept(client) else { return };
    while let Ok(message) = server.read() {
        if message.is_text() && server.send(message).is_err() {
            return;
        }
    }
}
