//! A working proxy for CONNECT, SOCKS 4, 4a and 5, also over TLS. It always leads to the same
//! server, whatever destination it is asked for. It shares no code with the crate.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::listener;

/// Starts a proxy with TLS that leads to this server, and returns how to use it.
#[cfg(feature = "tls")]
pub fn https_to(server: SocketAddr) -> landline::proxy::Proxy {
    let relay = Relay::start_tls(server, Rules::default(), super::tls::localhost());
    let proxy = landline::proxy::Proxy::new(&relay.url("https")).unwrap();
    proxy.tls(super::tls::trusting())
}

/// Names a running proxy, which runs until the process ends.
pub struct Relay {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Holds the request of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `http`, `socks4` or `socks5`. SOCKS 4a is `socks4`.
    pub protocol: &'static str,
    /// Host and port.
    pub destination: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// The header lines of CONNECT, without the request line.
    pub headers: Vec<String>,
}

/// Says which clients the proxy accepts.
#[derive(Clone, Copy, Default)]
pub struct Rules {
    /// The user and the password that the client must give. SOCKS 4 has no password.
    pub login: Option<(&'static str, &'static str)>,
}

impl Relay {
    /// Starts a proxy that leads to `server`.
    pub fn start(server: SocketAddr, rules: Rules) -> Self {
        Self::with(server, rules, |stream| Some(Box::new(stream)))
    }

    /// Starts a proxy as [`start`](Self::start) does, with TLS between it and the client.
    #[cfg(feature = "tls")]
    pub fn start_tls(server: SocketAddr, rules: Rules, config: rustls::ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::with(server, rules, move |stream| {
            Some(Box::new(tls::SharedTls::accept(config.clone(), stream).ok()?))
        })
    }

    fn with(
        server: SocketAddr,
        rules: Rules,
        accept: impl Fn(TcpStream) -> Option<Box<dyn Both>> + Clone + Send + 'static,
    ) -> Self {
        let listener = listener();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, log, accept) = (client.unwrap(), log.clone(), accept.clone());
                client.set_nodelay(true).unwrap();
                thread::spawn(move || {
                    if let Some(client) = accept(client) {
                        // A client may go away at any time.
                        let _ = lead(client, server, rules, &log);
                    }
                });
            }
        });
        Self { addr, asked }
    }

    /// Returns all requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }
}

/// Is a connection that one thread reads while another thread writes it.
trait Both: Send + Sync {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
    fn shut(&self);

    fn exactly(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut at = 0;
        while at < len {
            match self.read(&mut bytes[at..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                some => at += some,
            }
        }
        Ok(bytes)
    }

    fn until_zero(&self) -> io::Result<String> {
        let mut text = Vec::new();
        loop {
            match self.exactly(1)?[0] {
                0 => return Ok(String::from_utf8(text).unwrap()),
                byte => text.push(byte),
            }
        }
    }
}

impl Both for TcpStream {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buf)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(&mut &*self, bytes)
    }

    fn shut(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

fn lead(
    client: Box<dyn Both>,
    server: SocketAddr,
    rules: Rules,
    log: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let first = client.exactly(1)?[0];
    let (asked, good, bad) = match first {
        4 => socks_4(&*client)?,
        5 => match socks_5(&*client, rules)? {
            Some(asked) => asked,
            None => return Ok(()),
        },
        first => http(&*client, first)?,
    };
    let login = asked.user.as_deref().zip(asked.password.as_deref());
    let welcome = match (rules.login, asked.protocol) {
        (None, _) => true,
        (Some((user, _)), "socks4") => asked.user.as_deref() == Some(user),
        (Some(rule), _) => login == Some(rule),
    };
    log.lock().unwrap().push(asked);
    if !welcome {
        client.write_all(&bad)?;
        client.shut();
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.write_all(&good)?;
    pump(client.into(), server);
    Ok(())
}

/// Holds the request, the answer that grants it, and the answer that refuses it.
type Answers = (Asked, Vec<u8>, Vec<u8>);

fn http(client: &dyn Both, first: u8) -> io::Result<Answers> {
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.exactly(1)?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let request: Vec<_> = lines.next().unwrap().split(' ').collect();
    let [method, destination, version] = request[..] else { panic!("{head}") };
    assert_eq!((method, version), ("CONNECT", "HTTP/1.1"), "{head}");
    let headers: Vec<_> = lines.map(str::to_owned).collect();
    let basic = headers.iter().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    let (user, password) = basic
        .map(|text| {
            let decoded = String::from_utf8(base64(text)).unwrap();
            let (user, password) = decoded.split_once(':').unwrap();
            (user.to_owned(), password.to_owned())
        })
        .unzip();
    let destination = destination.to_owned();
    let asked = Asked { protocol: "http", destination, user, password, headers };
    let bad = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
               Content-Length: 6\r\n\r\nlog in";
    Ok((asked, b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), bad.into()))
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|&byte| byte != b'=');
    let digits = digits.map(|byte| DIGITS.iter().position(|&digit| digit == byte).unwrap());
    let (mut bits, mut count, mut bytes) = (0_usize, 0, Vec::new());
    for digit in digits {
        (bits, count) = (bits << 6 | digit, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).unwrap());
        }
    }
    bytes
}

fn socks_4(client: &dyn Both) -> io::Result<Answers> {
    let request = client.exactly(7)?;
    assert_eq!(request[0], 1, "CONNECT");
    let port = u16::from_be_bytes([request[1], request[2]]);
    let address = Ipv4Addr::new(request[3], request[4], request[5], request[6]);
    let user = client.until_zero()?;
    let host = match address.octets() {
        [0, 0, 0, last] if last > 0 => client.until_zero()?,
        _ => address.to_string(),
    };
    let asked = Asked {
        protocol: "socks4",
        destination: format!("{host}:{port}"),
        user: Some(user).filter(|user| !user.is_empty()),
        ..Asked::default()
    };
    let answer = |code| vec![0, code, 1, 2, 3, 4, 5, 6];
    Ok((asked, answer(90), answer(93)))
}

/// Reads the request of SOCKS 5; `None` if the login is refused.
fn socks_5(client: &dyn Both, rules: Rules) -> io::Result<Option<Answers>> {
    let count = client.exactly(1)?[0];
    let methods = client.exactly(count.into())?;
    let mut asked = Asked { protocol: "socks5", ..Asked::default() };
    match rules.login {
        Some((user, password)) if methods.contains(&2) => {
            client.write_all(&[5, 2])?;
            assert_eq!(client.exactly(1)?, [1]);
            let field = || -> io::Result<String> {
                let len = client.exactly(1)?[0];
                Ok(String::from_utf8(client.exactly(len.into())?).unwrap())
            };
            let (own_user, own_password) = (field()?, field()?);
            let good = (&*own_user, &*own_password) == (user, password);
            client.write_all(&[1, u8::from(!good)])?;
            if !good {
                client.shut();
                return Ok(None);
            }
            (asked.user, asked.password) = (Some(own_user), Some(own_password));
        }
        Some(_) => {
            client.write_all(&[5, 255])?;
            client.shut();
            return Ok(None);
        }
        None => client.write_all(&[5, 0])?,
    }
    let request = client.exactly(4)?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => IpAddr::from(*client.exactly(4)?.first_chunk::<4>().unwrap()).to_string(),
        4 => {
            let octets = *client.exactly(16)?.first_chunk::<16>().unwrap();
            format!("[{}]", Ipv6Addr::from(octets))
        }
        3 => {
            let len = client.exactly(1)?[0];
            String::from_utf8(client.exactly(len.into())?).unwrap()
        }
        other => panic!("address type {other}"),
    };
    let port = client.exactly(2)?;
    asked.destination = format!("{host}:{}", u16::from_be_bytes([port[0], port[1]]));
    // The bound address is a name, which is rare and allowed.
    let good = [&[5, 0, 0, 3, 5], &b"bound"[..], &[1, 2]].concat();
    Ok(Some((asked, good, vec![5, 2, 0, 1, 0, 0, 0, 0, 0, 0])))
}

/// Moves bytes both ways until both ends are done.
fn pump(client: Arc<dyn Both>, server: TcpStream) {
    let server = Arc::new(server);
    let (from, to) = (client.clone(), server.clone());
    let upwards = thread::spawn(move || copy(&*from, &*to));
    copy(&*server, &*client);
    let _ = upwards.join();
}

fn copy(from: &dyn Both, to: &dyn Both) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    to.shut();
}

#[cfg(feature = "tls")]
mod tls {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::sync::{Arc, Mutex};

    use rustls::{ServerConfig, ServerConnection};

    /// Is the server's end of TLS, which one thread reads while another thread writes it.
    pub(super) struct SharedTls {
        socket: TcpStream,
        tls: Mutex<ServerConnection>,
        /// The bytes that were read, and not given to TLS yet.
        unread: Mutex<Vec<u8>>,
        /// Held while records are written, so that they stay in order.
        order: Mutex<()>,
    }

    impl SharedTls {
        pub(super) fn accept(config: Arc<ServerConfig>, socket: TcpStream) -> io::Result<Self> {
            let mut tls = ServerConnection::new(config).unwrap();
            tls.set_buffer_limit(None);
            while tls.is_handshaking() {
                if let Err(error) = tls.complete_io(&mut &socket) {
                    let _ = tls.write_tls(&mut &socket);
                    return Err(error);
                }
            }
            Ok(Self {
                socket,
                tls: Mutex::new(tls),
                unread: Mutex::default(),
                order: Mutex::new(()),
            })
        }

        fn write(&self, put: impl FnOnce(&mut ServerConnection)) -> io::Result<()> {
            let _order = self.order.lock().unwrap();
            let mut records = Vec::new();
            let mut tls = self.tls.lock().unwrap();
            put(&mut tls);
            while tls.wants_write() {
                tls.write_tls(&mut records)?;
            }
            drop(tls);
            (&self.socket).write_all(&records)
        }
    }

    impl super::Both for SharedTls {
        fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
            let mut unread = self.unread.lock().unwrap();
            loop {
                let mut tls = self.tls.lock().unwrap();
                match tls.reader().read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
                if !unread.is_empty() {
                    let taken = tls.read_tls(&mut &unread[..])?;
                    unread.drain(..taken);
                    tls.process_new_packets().map_err(io::Error::other)?;
                    continue;
                }
                drop(tls);
                unread.resize(16 * 1024, 0);
                let len = Read::read(&mut &self.socket, &mut unread)?;
                unread.truncate(len);
                if len == 0 {
                    return Ok(0);
                }
            }
        }

        fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
            self.write(|tls| tls.writer().write_all(bytes).unwrap())
        }

        fn shut(&self) {
            let _ = self.write(|tls| tls.send_close_notify());
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}
