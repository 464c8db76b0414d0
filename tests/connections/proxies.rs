//! Connecting through proxies that do their work, every kind of them.

#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use landline::error::{HandshakeProblem, InvalidInput, ProxyProblem, SocksError};
use landline::proxy::Proxy;
use landline::{Builder, CloseCode, Error, Message, Timeout};
use support::proxy::{Relay, Rules};
use support::*;

const PASSWORD: &str = "p@ss/wörd";
/// The password as it is written in a URL.
const ENCODED: &str = "p%40ss%2Fw%C3%B6rd";

/// Every kind of proxy.
#[cfg(feature = "tls")]
const KINDS: &[&str] = &["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
#[cfg(not(feature = "tls"))]
const KINDS: &[&str] = &["http", "socks4", "socks4a", "socks5", "socks5h"];

/// Every scheme of a server.
#[cfg(feature = "tls")]
const SCHEMES: &[(&str, u16)] = &[("ws", 80), ("wss", 443)];
#[cfg(not(feature = "tls"))]
const SCHEMES: &[(&str, u16)] = &[("ws", 80)];

#[cfg(feature = "tls")]
fn server_config() -> rustls::ServerConfig {
    let names = ["server.test", "xn--bcher-kva.test", "127.0.0.1", "::1", "localhost"];
    tls::config(&tls::ca().leaf(&names))
}

fn relay(kind: &str, server: SocketAddr, rules: Rules) -> Relay {
    #[cfg(feature = "tls")]
    if kind == "https" {
        return Relay::start_tls(server, rules, tls::localhost());
    }
    let _ = kind;
    Relay::start(server, rules)
}

/// Does the same as `new`, and trusts the tests' authority for an `https` proxy.
fn proxy(url: &str) -> Proxy {
    let proxy = Proxy::new(url).unwrap();
    #[cfg(feature = "tls")]
    let proxy = proxy.tls(tls::trusting());
    proxy
}

/// A client that trusts the tests' authority.
fn client() -> Builder {
    let builder = builder();
    #[cfg(feature = "tls")]
    let builder = builder.tls(tls::trusting());
    builder
}

/// Starts a server for any number of connections, which echoes one message on each and closes.
fn echoing(scheme: &str) -> SocketAddr {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    #[cfg(feature = "tls")]
    let config = (scheme == "wss").then(server_config);
    #[cfg(not(feature = "tls"))]
    let config = (scheme == "wss").then_some(());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut peer = match &config {
                #[cfg(feature = "tls")]
                Some(config) => Peer::new(tls::accept(config.clone(), stream)),
                _ => Peer::new(stream),
            };
            std::thread::spawn(move || {
                peer.upgrade();
                let message = peer.next_frame().unwrap();
                peer.send(&frame(message.opcode, true, &message.payload));
                let closing = peer.next_frame().unwrap();
                peer.send(&frame(CLOSE, true, &closing.payload));
            });
        }
    });
    addr
}

fn works(mut ws: landline::WebSocket) {
    ws.send("through it").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("through it"));
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

#[test]
fn every_kind_of_proxy_leads_to_every_kind_of_server() {
    // (host of the URL, destination for a proxy that looks up names, and for one that does not)
    const HOSTS: &[(&str, &str, &str)] = &[
        ("server.test", "server.test", "127.0.0.1"),
        ("SERVER.test", "server.test", "127.0.0.1"),
        #[cfg(feature = "url")]
        ("bücher.test", "xn--bcher-kva.test", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]", "[::1]"),
    ];
    watchdog(LIMIT * 2, || {
        let mut rows = 0;
        for &(scheme, default_port) in SCHEMES {
            let server = echoing(scheme);
            for &kind in KINDS {
                for login in [false, true] {
                    // Basic cannot carry a colon in the user; SOCKS 4 has no password.
                    let user = if kind.starts_with("http") { "user" } else { "us:er" };
                    let password = if kind.starts_with("socks4") { "" } else { PASSWORD };
                    let rules = Rules { login: login.then_some((user, password)) };
                    let relay = relay(kind, server, rules);
                    let scheme_of_proxy = format!("{kind}://localhost:{}", relay.addr.port());
                    let mut proxy = proxy(&scheme_of_proxy);
                    if login {
                        proxy = proxy.credentials(user, password).unwrap();
                    }
                    let looks_up = Arc::new(AtomicUsize::new(0));
                    let count = looks_up.clone();
                    let builder = client().proxy(proxy).resolver(move |name, port| {
                        if name == "localhost" {
                            return Ok(vec![relay.addr]);
                        }
                        count.fetch_add(1, Ordering::SeqCst);
                        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
                    });
                    for &(host, name, address) in HOSTS {
                        for port in [None, Some(8080)] {
                            let at = port.map_or(String::new(), |port| format!(":{port}"));
                            let url = format!("{scheme}://{host}{at}/");
                            let here = matches!(kind, "socks4" | "socks5");
                            let cannot = kind.starts_with("socks4") && host == "[::1]";
                            looks_up.store(0, Ordering::SeqCst);
                            let ws = builder.connect(&url);
                            if cannot {
                                let refused = error(ws);
                                let expected = matches!(
                                    &refused,
                                    Error::InvalidInput(InvalidInput::Proxy(why))
                                        if why.contains("IPv6")
                                );
                                assert!(expected, "{kind} {url}: {refused:?}");
                                continue;
                            }
                            let ws = ws.unwrap_or_else(|error| panic!("{kind} {url}: {error}"));
                            assert_eq!(ws.peer_addr(), Some(relay.addr));
                            works(ws);
                            let asked = relay.asked().pop().unwrap();
                            let expected = if here { address } else { name };
                            let expected = format!("{expected}:{}", port.unwrap_or(default_port));
                            assert_eq!(asked.destination, expected, "{kind} {url}");
                            assert_eq!(asked.user.as_deref(), login.then_some(user));
                            // If the proxy looks up names, this end looks up none.
                            let lookups = usize::from(here && !host.starts_with(['1', '[']));
                            assert_eq!(looks_up.load(Ordering::SeqCst), lookups, "{kind} {url}");
                            rows += 1;
                        }
                    }
                }
            }
        }
        println!("{rows} ways through");
        // The two proxies of SOCKS 4 cannot serve the two URLs with an IPv6 address.
        assert_eq!(rows, SCHEMES.len() * 2 * (KINDS.len() * HOSTS.len() * 2 - 4));
    });
}

#[test]
fn nothing_but_a_slash_may_follow_the_port_of_a_proxy() {
    for end in ["", "/"] {
        assert!(Proxy::new(&format!("http://proxy.test:3128{end}")).is_ok(), "{end}");
    }
    // The URL Standard would make `/` of the last three.
    for end in ["/a", "?", "#", "/#a", "//", "/a/..", "/.", "/%2e"] {
        let refused = Proxy::new(&format!("http://proxy.test:3128{end}")).map(|_| ()).unwrap_err();
        let expected = matches!(&refused, Error::InvalidInput(InvalidInput::Proxy(_)));
        assert!(expected, "{end}: {refused:?}");
    }
}

#[test]
fn a_proxy_gets_the_user_and_password_of_its_url_decoded() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        for kind in KINDS.iter().filter(|kind| !kind.starts_with("socks4")) {
            let relay = relay(kind, server, Rules { login: Some(("user", PASSWORD)) });
            let url = format!("{kind}://user:{ENCODED}@{}", relay.addr);
            works(client().proxy(proxy(&url)).connect("ws://127.0.0.1/").unwrap());
            assert_eq!(relay.asked()[0].password.as_deref(), Some(PASSWORD));
        }
        let relay = Relay::start(server, Rules { login: Some(("us er", "")) });
        let url = format!("socks4://us%20er@{}", relay.addr);
        works(client().proxy(proxy(&url)).connect("ws://127.0.0.1/").unwrap());
    });
}

#[test]
fn a_proxy_that_knows_another_password_refuses_for_good() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        for &kind in KINDS {
            let relay = relay(kind, server, Rules { login: Some(("user", "right-canary")) });
            let socks_4 = kind.starts_with("socks4");
            for credentials in [None, Some(("somebody", "wrong-canary"))] {
                let mut proxy = proxy(&relay.url(kind));
                if let Some((user, password)) = credentials {
                    let password = if socks_4 { "" } else { password };
                    proxy = proxy.credentials(user, password).unwrap();
                }
                let builder = client().proxy(proxy);
                let refused = promptly(|| error(builder.connect("ws://127.0.0.1:9/")));
                assert!(!refused.is_retryable(), "{kind}: {refused}");
                for shown in [format!("{refused}"), format!("{refused:?} {builder:?}")] {
                    assert!(!shown.contains("canary"), "{shown}");
                }
                let Error::Proxy(refused) = &refused else { panic!("{kind}: {refused:?}") };
                assert_eq!(refused.proxy(), relay.url(kind));
                match (kind, refused.problem()) {
                    ("http" | "https", ProxyProblem::Refused(response)) => {
                        assert_eq!(response.status(), 407);
                        assert_eq!(response.reason(), "Proxy Authentication Required");
                        assert_eq!(response.headers().get("proxy-authenticate"), Some("Basic"));
                        assert_eq!(response.body(), b"log in");
                        assert_eq!(refused.response(), Some(response));
                    }
                    (_, ProxyProblem::Socks(SocksError::Refused4(93))) => assert!(socks_4),
                    (_, ProxyProblem::Socks(SocksError::WrongPassword)) => {
                        assert!(!socks_4 && credentials.is_some());
                    }
                    (_, ProxyProblem::Socks(SocksError::NoAcceptableMethod)) => {
                        assert!(!socks_4 && credentials.is_none());
                    }
                    (_, problem) => panic!("{kind}: {problem:?}"),
                }
            }
        }
    });
}

#[test]
fn a_proxy_that_cannot_be_reached_is_not_bypassed() {
    watchdog(LIMIT, || {
        // A server that would answer a direct connection.
        let server = listener();
        server.set_nonblocking(true).unwrap();
        let url = format!("ws://{}/", server.local_addr().unwrap());
        let nobody = closed();
        for kind in KINDS {
            let builder = client().proxy(proxy(&format!("{kind}://{nobody}")));
            let refused = promptly(|| error(builder.connect(&url)));
            assert!(refused.is_retryable());
            let Error::Proxy(refused) = refused else { panic!("{kind}: {refused:?}") };
            let ProxyProblem::Connect(refused) = refused.problem() else { panic!("{refused:?}") };
            assert_eq!(refused.attempts()[0].0, nobody);
            assert!(server.accept().is_err(), "{kind}: the server was connected to");
        }
    });
}

#[test]
fn a_proxy_whose_name_has_no_address_is_not_bypassed() {
    watchdog(LIMIT, || {
        let server = listener();
        server.set_nonblocking(true).unwrap();
        let url = format!("ws://{}/", server.local_addr().unwrap());
        for kind in KINDS {
            let builder = client()
                .proxy(proxy(&format!("{kind}://nowhere.test")))
                .resolver(|_, _| Err(std::io::Error::other("no such name")));
            let refused = error(builder.connect(&url));
            let Error::Proxy(refused) = refused else { panic!("{kind}: {refused:?}") };
            let ProxyProblem::Connect(refused) = refused.problem() else { panic!("{refused:?}") };
            assert_eq!((refused.host(), refused.resolve_error().is_some()), ("nowhere.test", true));
            assert!(server.accept().is_err(), "{kind}: the server was connected to");
        }
    });
}

#[test]
fn a_proxy_sees_nothing_of_what_is_for_the_server() {
    watchdog(LIMIT, || {
        let (sender, seen) = std::sync::mpsc::channel();
        let server = serve(move |peer| {
            sender.send(peer.read_request().to_owned()).unwrap();
            let answer = peer.good_answer("");
            peer.send(&answer);
            peer.expect_end();
        });
        let relay = Relay::start(server.addr, Rules { login: Some(("user", "proxy-canary")) });
        let proxy = Proxy::new(&relay.url("http")).unwrap();
        let proxy = proxy.credentials("user", "proxy-canary").unwrap();
        let proxy = proxy.header("X-For-Proxy", "header-canary").unwrap();
        let builder = client()
            .header("X-For-Server", "server-canary")
            .cookie("c=server-canary")
            .bearer_auth("server-canary")
            .user_agent("agent/1")
            .proxy(proxy);
        let ws = builder.connect("ws://server.test:1234/server-canary?server-canary").unwrap();
        ws.abort();
        server.join();

        let [asked] = &relay.asked()[..] else { panic!("asked more than once") };
        let basic = "Proxy-Authorization: Basic dXNlcjpwcm94eS1jYW5hcnk=";
        let expected =
            ["Host: server.test:1234", "User-Agent: agent/1", basic, "X-For-Proxy: header-canary"];
        assert_eq!(asked.headers, expected);
        let request = seen.recv().unwrap();
        assert!(request.contains("server-canary"));
        for canary in ["proxy-canary", "header-canary", "Proxy-", "dXNlcj"] {
            assert!(!request.contains(canary), "{request}");
        }
    });
}

#[test]
fn a_server_on_the_list_of_exceptions_is_connected_to_directly() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        for kind in KINDS {
            let relay = relay(kind, server, Rules::default());
            let proxy = proxy(&relay.url(kind)).except("direct.test 127.0.0.0/8:x").unwrap_err();
            assert!(proxy.to_string().contains("127.0.0.0/8:x"), "{proxy}");
            let proxy = self::proxy(&relay.url(kind)).except("direct.test, 10.0.0.0/8").unwrap();
            let proxy = proxy.except("127.0.0.1").unwrap();
            let builder = client().proxy(proxy).resolver(move |_, _| Ok(vec![server]));
            works(builder.connect("ws://direct.test/").unwrap());
            works(builder.connect("ws://www.direct.test/").unwrap());
            works(builder.connect(&format!("ws://{server}/")).unwrap());
            assert_eq!(relay.asked(), []);
            works(builder.connect("ws://indirect.test/").unwrap());
            assert_eq!(relay.asked().len(), 1);
            // Without a proxy, its exceptions do not matter.
            works(builder.clone().proxy(None).connect("ws://indirect.test/").unwrap());
            assert_eq!(relay.asked().len(), 1);
        }
    });
}

#[test]
fn a_socks_proxy_that_cannot_reach_one_address_is_asked_for_the_next() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        let works_from = Relay::start(server, Rules::default());
        // The first two connections are refused: host unreachable.
        let front = listener();
        let front_addr = front.local_addr().unwrap();
        let refusing = spawn(move || {
            for _ in 0..2 {
                let mut peer = Peer::new(front.accept().unwrap().0);
                let mut socket = peer.socket().try_clone().unwrap();
                std::io::Read::read_exact(&mut socket, &mut [0; 3]).unwrap();
                peer.send(&[5, 0]);
                std::io::Read::read_exact(&mut socket, &mut [0; 10]).unwrap();
                peer.send(&[5, 4]);
            }
        });
        let count = Mutex::new(0);
        let builder = client().proxy(Proxy::new("socks5://proxy.test").unwrap()).resolver(
            move |name, port| match name {
                "proxy.test" => {
                    let mut count = count.lock().unwrap();
                    *count += 1;
                    Ok(vec![if *count < 3 { front_addr } else { works_from.addr }])
                }
                _ => Ok((1..=4).map(|n| SocketAddr::from(([10, 0, 0, n], port))).collect()),
            },
        );
        works(builder.connect("ws://server.test/").unwrap());
        refusing.join();
    });
}

#[test]
fn a_socks_proxy_that_is_silent_about_one_address_is_asked_for_the_next() {
    watchdog(LIMIT, || {
        for scheme in ["socks4", "socks5"] {
            let server = echoing("ws");
            let works_from = Relay::start(server, Rules::default());
            // The first connection gets no answer, and ends when the client gives up.
            let front = listener();
            let front_addr = front.local_addr().unwrap();
            let silent = spawn(move || {
                let (mut socket, _) = front.accept().unwrap();
                std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
            });
            let is_first = AtomicBool::new(true);
            let builder = client()
                .proxy(Proxy::new(&format!("{scheme}://proxy.test")).unwrap())
                .open_timeout(SHORT * 20)
                .resolver(move |name, port| match name {
                    "proxy.test" if is_first.swap(false, Ordering::SeqCst) => Ok(vec![front_addr]),
                    "proxy.test" => Ok(vec![works_from.addr]),
                    _ => Ok((1..=8).map(|n| SocketAddr::from(([10, 0, 0, n], port))).collect()),
                });
            works(builder.connect("ws://server.test/").unwrap());
            silent.join();
        }
    });
}

#[test]
fn a_socks_proxy_that_is_silent_about_all_addresses_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let front = listener();
        let url = format!("socks5://{}", front.local_addr().unwrap());
        let silent = spawn(move || {
            let mut sockets = (0..3).map(|_| front.accept().unwrap().0).collect::<Vec<_>>();
            for socket in &mut sockets {
                std::io::copy(socket, &mut std::io::sink()).unwrap();
            }
        });
        let builder = client()
            .proxy(Proxy::new(&url).unwrap())
            .open_timeout(SHORT * 10)
            .resolver(|_, port| Ok((1..=3).map(|n| ([10, 0, 0, n], port).into()).collect()));
        let timeout = takes(SHORT * 10, || error(builder.connect("ws://server.test/")));
        assert!(matches!(timeout, Error::Timeout(Timeout::Proxy)), "{timeout:?}");
        silent.join();
    });
}

#[test]
fn an_address_that_the_filter_refuses_is_not_asked_of_a_proxy() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        for kind in KINDS {
            let relay = relay(kind, server, Rules::default());
            let denied: SocketAddr = "10.0.0.1:80".parse().unwrap();
            let builder = client()
                .proxy(proxy(&relay.url(kind)))
                .address_filter(move |address| address != denied)
                .resolver(move |_, _| Ok(vec![denied]));
            let refused = error(builder.connect("ws://10.0.0.1/"));
            assert!(matches!(refused, Error::Connect(_)), "{kind}: {refused:?}");
            if matches!(*kind, "socks4" | "socks5") {
                let refused = error(builder.connect("ws://server.test/"));
                assert!(matches!(refused, Error::Connect(_)), "{kind}: {refused:?}");
            }
            assert_eq!(relay.asked(), []);
        }
    });
}

#[test]
fn a_proxy_that_looks_up_no_names_is_asked_for_the_port_that_the_resolver_returned() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        for kind in ["socks4", "socks5"] {
            let relay = relay(kind, server, Rules::default());
            let found: SocketAddr = "10.0.0.1:8081".parse().unwrap();
            let builder = client()
                .proxy(proxy(&relay.url(kind)))
                .address_filter(move |address| address.ip().is_loopback() || address == found)
                .resolver(move |_, _| Ok(vec![found]));
            works(builder.connect("ws://server.test/").unwrap());
            assert_eq!(relay.asked().pop().unwrap().destination, "10.0.0.1:8081", "{kind}");
        }
    });
}

/// SOCKS 4 has no IPv6. In SOCKS 4a the addresses 0.0.0.1 to 0.0.0.255 say that a name follows.
#[test]
fn socks_4_is_not_asked_for_what_it_cannot_name() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        let relay = relay("socks4", server, Rules::default());
        let connect = |host: &str, found: &'static [[u8; 4]]| {
            let builder = client().proxy(proxy(&relay.url("socks4")));
            let at = |port| found.iter().map(move |&ip| SocketAddr::from((ip, port))).collect();
            builder.resolver(move |_, port| Ok(at(port))).connect(&format!("ws://{host}/"))
        };
        let refused = error(connect("0.0.0.5", &[]));
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_))), "{refused:?}");
        let refused = error(connect("server.test", &[[0, 0, 0, 5]]));
        assert!(matches!(refused, Error::Connect(_)), "{refused:?}");
        assert_eq!(relay.asked(), []);
        works(connect("server.test", &[[0, 0, 0, 5], [10, 0, 0, 1]]).unwrap());
        assert_eq!(relay.asked().pop().unwrap().destination, "10.0.0.1:80");
        // An IPv4 address that is written as an IPv6 one.
        works(connect("[::ffff:10.0.0.2]", &[]).unwrap());
        assert_eq!(relay.asked().pop().unwrap().destination, "10.0.0.2:80");
        let refused = error(connect("[::ffff:0.0.0.5]", &[]));
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_))), "{refused:?}");
    });
}

#[test]
fn a_redirect_to_what_the_proxy_cannot_be_asked_for_is_the_fault_of_the_server() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 302 x\r\nLocation: ws://[2001:db8::1]/\r\n\r\n");
            peer.stall();
        });
        let relay = relay("socks4a", server.addr, Rules::default());
        let builder = client().proxy(proxy(&relay.url("socks4a"))).max_redirects(3);
        let Error::Handshake(refused) = error(builder.connect("ws://server.test/")) else {
            panic!("not the server");
        };
        assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect);
        server.join();
    });
}

#[test]
fn the_socket_hook_sees_the_socket_to_the_proxy() {
    watchdog(LIMIT, || {
        let server = echoing("ws");
        let relay = Relay::start(server, Rules::default());
        let (sender, seen) = std::sync::mpsc::channel();
        let sender = Mutex::new(sender);
        let builder = client().proxy(proxy(&relay.url("http"))).on_socket(move |socket| {
            assert!(socket.nodelay()?);
            sender.lock().unwrap().send(socket.peer_addr()?).unwrap();
            Ok(())
        });
        works(builder.connect("ws://server.test/").unwrap());
        assert_eq!(seen.recv().unwrap(), relay.addr);
    });
}

#[test]
fn a_redirect_is_followed_through_the_proxy_for_the_new_server() {
    watchdog(LIMIT, || {
        let last = echoing("ws");
        // The first server is reached through the proxy, and redirects to a name that is an
        // exception. So the proxy sees no more connections.
        for (location, asked) in [
            ("ws://direct.test/", vec!["first.test:80"]),
            ("ws://second.test/", vec!["first.test:80", "second.test:80"]),
        ] {
            let first = listener();
            let first_addr = first.local_addr().unwrap();
            let redirecting = spawn(move || {
                let mut peer = Peer::new(first.accept().unwrap().0);
                let request = peer.read_request().to_owned();
                peer.send(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes());
                // From here on everything goes to the last server.
                drop(peer);
                if location.contains("second") {
                    let mut stream = first.accept().unwrap().0;
                    let mut server = std::net::TcpStream::connect(last).unwrap();
                    let (mut from, mut to) =
                        (server.try_clone().unwrap(), stream.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut stream, &mut server);
                    let _ = server.shutdown(std::net::Shutdown::Write);
                }
                request
            });
            let rules = Rules { login: Some(("user", PASSWORD)) };
            let relay = Relay::start(first_addr, rules);
            let proxy = proxy(&relay.url("http")).credentials("user", PASSWORD).unwrap();
            let proxy = proxy.except("direct.test").unwrap();
            let builder = client().max_redirects(3).proxy(proxy).resolver(move |name, _| {
                assert_eq!(name, "direct.test");
                Ok(vec![last])
            });
            works(builder.connect("ws://first.test/").unwrap());
            assert!(!redirecting.join().contains("Proxy-"));
            let destinations = relay.asked().into_iter().map(|asked| asked.destination);
            assert_eq!(destinations.collect::<Vec<_>>(), asked);
        }
    });
}

#[test]
fn the_headers_of_a_proxys_refusal_are_neither_followed_nor_kept_as_cookies() {
    watchdog(LIMIT, || {
        let jar = Arc::new(landline::cookie::CookieJar::new());
        for status in [301, 302, 307, 308, 401, 407] {
            let proxy = serve(move |peer| {
                peer.read_request();
                let lines = "Location: ws://elsewhere.test/\r\nSet-Cookie: a=b\r\n";
                let length = "Content-Length: 0\r\n";
                let head = format!("HTTP/1.1 {status} No\r\n{lines}{length}\r\n");
                peer.send(head.as_bytes());
                peer.expect_end();
            });
            let builder = client()
                .max_redirects(3)
                .cookie_store(jar.clone())
                .proxy(Proxy::new(&proxy.addr.to_string()).unwrap());
            let refused = error(builder.connect("ws://server.test/"));
            let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
            assert_eq!(refused.response().unwrap().status(), status);
            proxy.join();
        }
        assert!(jar.all().is_empty(), "{jar:?}");
    });
}
