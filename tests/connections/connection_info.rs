//! A connection tells how long it took to open, and what was agreed on in TLS.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landline::WebSocket;
use landline::timings::Timings;
use support::*;

/// The time by which the tests delay a step. Nothing else should take as long.
const STEP: Duration = Duration::from_millis(80);

/// Returns the steps that were done.
fn steps(timings: &Timings) -> Vec<Duration> {
    let Timings { resolve, connect, proxy, tls, handshake, .. } = *timings;
    [resolve, connect, proxy, tls, Some(handshake)].into_iter().flatten().collect()
}

/// Connects, and checks that the steps together take no longer than all, and all no longer than
/// the call.
fn timed(connect: impl FnOnce() -> WebSocket) -> Timings {
    let before = Instant::now();
    let ws = connect();
    let took = before.elapsed();
    let timings = ws.timings();
    assert_eq!(ws.sender().timings(), timings);
    ws.abort();
    assert!(steps(&timings).iter().all(|step| !step.is_zero()), "{timings:?}");
    assert!(steps(&timings).iter().sum::<Duration>() <= timings.total, "{timings:?}");
    assert!(timings.total <= took, "{timings:?}, but it took {took:?}");
    timings
}

/// Starts a server that answers after [`STEP`].
fn slow() -> Server<()> {
    serve(|peer| {
        peer.read_request();
        sleep(STEP);
        let answer = peer.good_answer("");
        peer.send(&answer);
        peer.expect_end();
    })
}

#[test]
fn the_time_of_a_step_counts_for_that_step() {
    watchdog(LIMIT, || {
        let server = slow();
        let addr = server.addr;
        let builder = builder()
            .resolver(move |_, _| {
                sleep(STEP);
                Ok(vec![addr])
            })
            .connector(|address, _| {
                sleep(STEP);
                TcpStream::connect(address)
            });
        let timings = timed(|| builder.connect("ws://slow.test/").unwrap());
        assert!(timings.resolve.unwrap() >= STEP, "{timings:?}");
        assert!(timings.connect.unwrap() >= STEP, "{timings:?}");
        assert!(timings.handshake >= STEP, "{timings:?}");
        assert_eq!((timings.proxy, timings.tls), (None, None));
        server.join();
    });
}

#[test]
fn steps_that_were_not_done_have_no_time() {
    watchdog(LIMIT, || {
        // The URL has an address, so there is no lookup.
        let server = upgraded(|peer| peer.expect_end());
        let timings = timed(|| builder().connect(&server.url()).unwrap());
        assert!(timings.connect.is_some());
        assert_eq!((timings.resolve, timings.proxy, timings.tls), (None, None, None));
        server.join();

        let server = upgraded(|peer| peer.expect_end());
        let stream = TcpStream::connect(server.addr).unwrap();
        let timings = timed(|| builder().connect_over("ws://over.test/", stream).unwrap());
        assert_eq!(steps(&timings), [timings.handshake]);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn the_tls_handshake_has_a_time_of_its_own() {
    watchdog(LIMIT, || {
        let listener = listener();
        let addr = listener.local_addr().unwrap();
        let server = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // The handshake has begun, and not only the connection.
            stream.peek(&mut [0]).unwrap();
            sleep(STEP);
            let mut peer = Peer::new(tls::accept(tls::localhost(), stream));
            peer.upgrade();
            peer.expect_end();
        });
        let timings = timed(|| tls::builder().connect(&format!("wss://{addr}/")).unwrap());
        assert!(timings.tls.unwrap() >= STEP, "{timings:?}");
        assert_eq!((timings.resolve, timings.proxy), (None, None));
        server.join();
    });
}

/// Plays a proxy, which answers after [`STEP`], and the server behind it.
#[cfg(feature = "proxy")]
fn lead_and_serve(mut peer: Peer) {
    peer.read_request();
    sleep(STEP);
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
    peer.upgrade();
    peer.expect_end();
}

#[cfg(feature = "proxy")]
#[test]
fn a_proxy_has_a_time_besides_that_of_connecting_to_it() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        let listener = listener();
        let proxy = Proxy::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = spawn(move || lead_and_serve(Peer::new(listener.accept().unwrap().0)));
        let timings = timed(|| builder().proxy(proxy).connect("ws://a.test/").unwrap());
        assert!(timings.proxy.unwrap() >= STEP, "{timings:?}");
        assert!(timings.connect.is_some());
        assert_eq!((timings.resolve, timings.tls), (None, None));
        server.join();
    });
}

#[cfg(all(feature = "proxy", feature = "tls"))]
#[test]
fn tls_with_an_https_proxy_counts_for_the_proxy() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let proxy = Proxy::new(&url).unwrap().tls(tls::trusting());
        let server = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.peek(&mut [0]).unwrap(); // The handshake has begun.
            sleep(STEP);
            lead_and_serve(Peer::new(tls::accept(tls::localhost(), stream)));
        });
        let timings = timed(|| builder().proxy(proxy).connect("ws://a.test/").unwrap());
        assert!(timings.proxy.unwrap() >= STEP * 2, "{timings:?}");
        assert_eq!(timings.tls, None);
        server.join();
    });
}

#[cfg(feature = "proxy")]
#[test]
fn the_lookups_of_a_proxy_and_of_the_server_are_added_up() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let relay = proxy::Relay::start(server.addr, proxy::Rules::default());
        let (at_proxy, at_server) = (relay.addr, server.addr);
        let builder = builder()
            .proxy(Proxy::new(&format!("socks5://proxy.test:{}", at_proxy.port())).unwrap())
            .resolver(move |name, _| {
                sleep(STEP);
                Ok(vec![if name == "proxy.test" { at_proxy } else { at_server }])
            });
        let timings = timed(|| builder.connect("ws://server.test/").unwrap());
        assert!(timings.resolve.unwrap() >= STEP * 2, "{timings:?}");
        assert!(timings.connect.is_some() && timings.proxy.is_some(), "{timings:?}");
        server.join();
    });
}

#[test]
fn after_a_redirect_the_steps_are_those_with_the_last_server_and_the_total_is_of_all() {
    watchdog(LIMIT, || {
        let goal = upgraded(|peer| peer.expect_end());
        let location = goal.url();
        let first = serve(move |peer| {
            peer.read_request();
            sleep(STEP);
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
            peer.send(head.as_bytes());
        });
        let addr = first.addr;
        // Only the first server has a name.
        let builder = builder().resolver(move |_, _| Ok(vec![addr]));
        let timings = timed(|| builder.connect("ws://first.test/").unwrap());
        assert_eq!(timings.resolve, None);
        let here: Duration = steps(&timings).iter().sum();
        assert!(timings.total >= here + STEP, "{timings:?}");
        first.join();
        goal.join();
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_has_a_time_of_connecting() {
    use std::os::unix::net::UnixListener;

    watchdog(LIMIT, || {
        let path = std::env::temp_dir().join(format!("landline-timings-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            tungstenite::accept(stream).map(drop).map_err(|error| error.to_string())
        });
        let timings = timed(|| builder().connect_unix("ws://unix.test/", &path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(timings.connect.is_some(), "{timings:?}");
        assert_eq!((timings.resolve, timings.proxy, timings.tls), (None, None, None));
        server.join().unwrap();
    });
}

#[cfg(feature = "tls")]
mod tls_info {
    use std::net::TcpStream;
    use std::sync::Arc;

    use landline::tls::TlsInfo;
    use rustls::crypto::ring;
    use rustls::version::{TLS12, TLS13};
    use rustls::{CipherSuite, ServerConnection};

    use super::support::tls::{self, ca, localhost, versions};
    use super::support::*;

    /// Connects to servers with this configuration, one after the other, with clones of one
    /// builder. Returns what is known on both sides: here the whole, there the cipher suite.
    fn infos(config: rustls::ServerConfig, count: usize) -> Vec<(TlsInfo, CipherSuite)> {
        let listener = listener();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let config = Arc::new(config);
        let server = spawn(move || {
            let accepted = |_| {
                let (stream, _) = listener.accept().unwrap();
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut peer = Peer::new(rustls::StreamOwned::new(connection, stream));
                peer.upgrade();
                peer.send(&text("hello"));
                let suite = peer.with_tls(|tls| tls.conn.negotiated_cipher_suite().unwrap());
                peer.stall();
                suite.suite()
            };
            (0..count).map(accepted).collect::<Vec<_>>()
        });
        let builder = tls::builder();
        let connected = |_| {
            let mut ws = builder.clone().connect(&url).unwrap();
            // The ticket for the next connection comes before the message.
            ws.recv().unwrap();
            let info = ws.tls_info().unwrap();
            assert_eq!(ws.sender().tls_info().unwrap(), info);
            info
        };
        let infos: Vec<_> = (0..count).map(connected).collect();
        infos.into_iter().zip(server.join()).collect()
    }

    #[test]
    fn version_suite_alpn_and_chain_are_those_that_were_agreed_on() {
        watchdog(LIMIT, || {
            for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
                let inner = ca().authority("inner", |_| {});
                let leaf = inner.leaf(&["localhost"]).chain([&inner]);
                for alpn in [None, Some(b"http/1.1".to_vec())] {
                    let mut config = versions(&leaf, &[version]);
                    config.alpn_protocols.extend(alpn.clone());
                    let (info, _) = infos(config, 1).remove(0);
                    assert_eq!(info.version, name);
                    assert_eq!(info.alpn, alpn);
                    assert_eq!(info.peer_certificates, leaf.der());
                    assert!(!info.resumed);
                    let shown = format!("{info:?}");
                    assert!(shown.contains("peer_certificates: 2"), "{shown}");
                }
            }
        });
    }

    #[test]
    fn each_cipher_suite_has_its_registered_name() {
        const NAMES: [(CipherSuite, &str); 9] = [
            (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
            (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
            (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ),
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            ),
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
            // The keys of the tests are ECDSA.
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, ""),
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, ""),
            (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, ""),
        ];
        watchdog(LIMIT, || {
            for suite in ring::ALL_CIPHER_SUITES {
                let (_, name) = NAMES.iter().find(|(known, _)| *known == suite.suite()).unwrap();
                if name.is_empty() {
                    continue;
                }
                let mut provider = ring::default_provider();
                provider.cipher_suites = vec![*suite];
                let leaf = ca().leaf(&["localhost"]);
                let config = tls::with_provider(&leaf, provider, &[suite.version()]);
                let (info, agreed) = infos(config, 1).remove(0);
                assert_eq!(agreed, suite.suite());
                assert_eq!(info.cipher_suite, *name);
            }
        });
    }

    #[test]
    fn a_resumed_session_says_so_and_keeps_the_chain_of_its_first_handshake() {
        watchdog(LIMIT, || {
            let leaf = ca().leaf(&["localhost"]);
            for version in [&TLS12, &TLS13] {
                let infos = infos(versions(&leaf, &[version]), 2);
                assert!(!infos[0].0.resumed);
                assert!(infos[1].0.resumed, "{infos:?}");
                assert_eq!(infos[1].0.peer_certificates, leaf.der());
            }
        });
    }

    #[test]
    fn a_connection_without_tls_has_none() {
        watchdog(LIMIT, || {
            let server = upgraded(|peer| peer.expect_end());
            let ws = builder().connect(&server.url()).unwrap();
            assert_eq!(ws.tls_info(), None);
            ws.abort();
            server.join();
        });
    }

    #[test]
    fn a_connection_that_is_over_still_has_it() {
        watchdog(LIMIT, || {
            let server = tls::serve_tls(localhost(), |peer| {
                peer.upgrade();
                peer.rst();
            });
            let mut ws = tls::builder().connect(&server.url()).unwrap();
            server.join();
            let _ = error(ws.recv());
            assert_eq!(ws.tls_info().unwrap().version, "TLSv1.3");
        });
    }

    /// TLS with the proxy is not that with the server.
    #[cfg(feature = "proxy")]
    #[test]
    fn behind_an_https_proxy_it_is_that_of_the_server() {
        use landline::proxy::Proxy;

        watchdog(LIMIT, || {
            let leaf = ca().leaf(&["localhost"]);
            let servers: [(&str, Server<()>); 2] = [
                ("ws", upgraded(|peer| peer.expect_end())),
                (
                    "wss",
                    tls::serve_tls(versions(&leaf, &[&TLS12]), |peer| {
                        peer.upgrade();
                        peer.expect_end();
                    }),
                ),
            ];
            for (scheme, server) in servers {
                let relay =
                    proxy::Relay::start_tls(server.addr, proxy::Rules::default(), localhost());
                let proxy = Proxy::new(&relay.url("https")).unwrap().tls(tls::trusting());
                let builder = tls::builder().proxy(proxy);
                let ws = builder.connect(&format!("{scheme}://localhost:1/")).unwrap();
                let version = ws.tls_info().map(|info| info.version);
                assert_eq!(version, (scheme == "wss").then_some("TLSv1.2"));
                ws.abort();
                server.join();
            }
        });
    }

    /// A stream that the caller brings, with TLS of landline over it.
    #[test]
    fn tls_over_a_stream_of_the_caller_has_it_too() {
        watchdog(LIMIT, || {
            let server = tls::upgraded_tls(|peer| peer.expect_end());
            let stream = TcpStream::connect(server.addr).unwrap();
            let ws = tls::builder().connect_over("wss://localhost/", stream).unwrap();
            assert_eq!(ws.tls_info().unwrap().peer_certificates.len(), 1);
            ws.abort();
            server.join();
        });
    }
}
