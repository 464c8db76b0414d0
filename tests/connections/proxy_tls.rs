//! TLS through proxies. TLS with the server is end to end. An `https` proxy has TLS of its own,
//! which carries the other.

#![cfg(all(feature = "proxy", feature = "tls"))]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use landline::error::{Cause, ProxyProblem};
use landline::proxy::Proxy;
use landline::tls::TlsOptions;
use landline::{AbortHandle, Builder, CloseCode, Error, Message, Timeout};
use support::proxy::{Relay, Rules};
use support::tls::{self, Ca};
use support::*;

/// An `https` proxy that the tests' authority vouches for.
fn https(relay: &Relay) -> Proxy {
    Proxy::new(&relay.url("https")).unwrap().tls(tls::trusting())
}

fn server_test() -> rustls::ServerConfig {
    tls::config(&tls::ca().leaf(&["server.test"]))
}

/// The size of a message.
const SIZE: usize = 512 * 1024;

/// Sends `count` messages to the server and receives as many, both at the same time.
fn floods_both_ways(builder: &Builder, url: &str, count: u8) {
    let (mut receiver, sender) = builder.connect(url).unwrap().split();
    let sending = spawn(move || {
        for n in 0..count {
            sender.send(vec![n; SIZE]).unwrap();
        }
        sender
    });
    for n in 0..count {
        let message = receiver.recv().unwrap();
        let expected = message == Message::Binary(vec![n; SIZE]);
        assert!(expected, "message {n} is another");
    }
    let sender = sending.join();
    assert_eq!(receiver.recv().unwrap(), Message::from("all there"));
    sender.close(CloseCode::NORMAL).unwrap();
    assert!(error(receiver.recv()).closed().unwrap().is_clean());
}

/// Plays a server that writes as much as it reads, both at the same time, with pings in between. It
/// counts the client's data, and answers at the end.
fn flooding(stream: TcpStream, config: Option<rustls::ServerConfig>, count: u8) {
    let mut peer = match config {
        Some(config) => Peer::new(tls::accept(config, stream)),
        None => Peer::new(stream),
    };
    peer.upgrade();
    // One thread is enough: it writes a message, and then reads one, which must have come because
    // the client does not wait.
    for n in 0..count {
        peer.send(&ping(b"still there?"));
        peer.send(&binary(&vec![n; SIZE]));
        loop {
            let frame = peer.next_frame().unwrap();
            if frame.opcode == PONG {
                continue;
            }
            assert!(frame.payload == vec![n; SIZE], "message {n} is another");
            peer.frames.clear();
            break;
        }
    }
    peer.send(&text("all there"));
    while let Some(frame) = peer.next_frame() {
        if frame.opcode == CLOSE {
            peer.send(&support::frame(CLOSE, true, &frame.payload));
        }
    }
}

#[test]
fn two_threads_move_64_mib_each_way_over_tls_in_tls() {
    const COUNT: u8 = 128;
    watchdog(Duration::from_secs(120), || {
        let listener = listener();
        let server = listener.local_addr().unwrap();
        let serving = spawn(move || {
            flooding(listener.accept().unwrap().0, Some(server_test()), COUNT);
        });
        let relay = Relay::start_tls(server, Rules::default(), tls::localhost());
        let builder = tls::builder().proxy(https(&relay)).open_timeout(None);
        let start = Instant::now();
        floods_both_ways(&builder, "wss://server.test/", COUNT);
        println!("{:.1} s", start.elapsed().as_secs_f64());
        serving.join();
    });
}

#[test]
fn two_threads_move_16_mib_each_way_in_the_clear_over_tls_with_the_proxy() {
    const COUNT: u8 = 32;
    watchdog(Duration::from_secs(60), || {
        let listener = listener();
        let server = listener.local_addr().unwrap();
        let serving = spawn(move || flooding(listener.accept().unwrap().0, None, COUNT));
        let relay = Relay::start_tls(server, Rules::default(), tls::localhost());
        floods_both_ways(&tls::builder().proxy(https(&relay)), "ws://server.test/", COUNT);
        serving.join();
    });
}

/// Connects over TLS in TLS to a server that runs a function.
fn connected<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> (landline::WebSocket, Server<T>) {
    let server = tls::serve_tls(server_test(), move |peer| {
        peer.upgrade();
        script(peer)
    });
    let relay = Relay::start_tls(server.addr, Rules::default(), tls::localhost());
    let builder = tls::builder().proxy(https(&relay)).write_timeout(Duration::from_secs(5));
    (builder.connect("wss://server.test/").unwrap(), server)
}

#[test]
fn an_abort_wakes_the_receiving_and_the_sending_thread_over_tls_in_tls() {
    watchdog(LIMIT, || {
        let (release, hold) = channel();
        let (ready, when) = channel();
        let (ws, server) = connected(move |peer| {
            // When a part of the big message is here, the client is inside `send`.
            peer.with_tls(|tls| tls.read_exact(&mut [0; 64]).unwrap());
            ready.send(()).unwrap();
            peer.hold_open(&hold);
        });
        // More than all buffers on the way hold.
        let big = vec![1; 64 << 20];
        let (mut receiver, sender) = ws.split();
        let receiving = spawn(move || error(receiver.recv()));
        let other = sender.clone();
        let sending = spawn(move || (error(other.send(&big)), big));
        when.recv().unwrap();
        sender.abort();
        // The big message is dropped later, because that takes time too.
        let (received, (sent, _big)) = at_once(|| (receiving.join(), sending.join()));
        for aborted in [received, sent] {
            assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
        }
        drop(release);
        server.join();
    });
}

#[test]
fn receiving_times_out_and_goes_on_over_tls_in_tls() {
    watchdog(LIMIT, || {
        let (go, when) = channel::<()>();
        let (mut ws, server) = connected(move |peer| {
            for n in 0..3 {
                when.recv().unwrap();
                peer.send(&text(&format!("message {n}")));
            }
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        for n in 0..3 {
            assert!(ws.try_recv().unwrap().is_none());
            let timeout = takes(SHORT, || error(ws.recv_timeout(SHORT)));
            assert!(matches!(timeout, Error::Timeout(Timeout::Recv)), "{timeout:?}");
            go.send(()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from(format!("message {n}")));
        }
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_peer_that_does_not_read_is_given_up_at_the_write_timeout_over_tls_in_tls() {
    watchdog(LIMIT, || {
        let (release, hold) = channel();
        let server = tls::serve_tls(server_test(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let relay = Relay::start_tls(server.addr, Rules::default(), tls::localhost());
        let builder = tls::builder().proxy(https(&relay)).write_timeout(SHORT);
        let ws = builder.connect("wss://server.test/").unwrap();
        let timeout = error(ws.send(vec![1; 64 << 20]));
        assert!(matches!(timeout, Error::Timeout(Timeout::Send)), "{timeout:?}");
        drop(release);
        server.join();
    });
}

#[test]
fn a_proxy_with_an_untrusted_certificate_is_an_error_of_the_proxy() {
    watchdog(LIMIT, || {
        let server = closed();
        let other = tls::config(&Ca::new().leaf(&["127.0.0.1"]));
        let wrong_name = tls::config(&tls::ca().leaf(&["elsewhere.test"]));
        for config in [other, wrong_name] {
            let relay = Relay::start_tls(server, Rules::default(), config);
            let refused = error(tls::builder().proxy(https(&relay)).connect("ws://server.test/"));
            assert!(!refused.is_retryable());
            let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
            let ProxyProblem::Tls(error) = refused.problem() else { panic!("{refused:?}") };
            assert!(error.is_certificate(), "{error}");
            assert_eq!(relay.asked(), []);
        }
        // The roots for the server do not hold for the proxy, which has options of its own.
        let relay = Relay::start_tls(server, Rules::default(), tls::localhost());
        let proxy = Proxy::new(&relay.url("https")).unwrap();
        let refused = error(tls::builder().proxy(proxy).connect("ws://server.test/"));
        assert!(matches!(refused, Error::Proxy(_)), "{refused:?}");
        assert_eq!(relay.asked(), []);
    });
}

#[test]
fn a_proxy_that_replaces_the_servers_certificate_is_found_out() {
    watchdog(LIMIT, || {
        for kind in ["http", "https", "socks4a", "socks5h"] {
            // The relay leads to another server than the one that was asked for.
            let mitm = tls::serve_tls(tls::config(&Ca::new().leaf(&["server.test"])), |peer| {
                let mut byte = [0];
                let alert = peer.with_tls(|tls| tls.read(&mut byte));
                assert!(alert.is_err(), "something was sent to it");
            });
            let relay = match kind {
                "https" => Relay::start_tls(mitm.addr, Rules::default(), tls::localhost()),
                _ => Relay::start(mitm.addr, Rules::default()),
            };
            let proxy = Proxy::new(&relay.url(kind)).unwrap().tls(tls::trusting());
            let refused = error(tls::builder().proxy(proxy).connect("wss://server.test/"));
            let Error::Tls(refused) = refused else { panic!("{kind}: {refused:?}") };
            assert!(refused.is_certificate());
            mitm.join();
        }
    });
}

#[test]
fn the_server_sees_the_same_tls_through_a_proxy_as_directly() {
    watchdog(LIMIT, || {
        let clients = Ca::new();
        let leaf = clients.leaf(&["client"]);
        let identity = || {
            let options = tls::trusting().server_name("server.test");
            options.client_certificate_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap()
        };
        for kind in ["http", "https", "socks4a", "socks5", "socks5h"] {
            let server_leaf = tls::ca().leaf(&["server.test"]);
            let mut config = tls::wants_client(&server_leaf, &clients);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let server = tls::serve_tls(config, |peer| {
                peer.upgrade();
                peer.with_tls(|tls| {
                    assert_eq!(tls.conn.server_name(), Some("server.test"));
                    assert_eq!(tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
                    assert_eq!(tls.conn.peer_certificates().unwrap().len(), 1);
                });
                peer.expect_end();
            });
            let relay = match kind {
                "https" => Relay::start_tls(server.addr, Rules::default(), tls::localhost()),
                _ => Relay::start(server.addr, Rules::default()),
            };
            let proxy = Proxy::new(&relay.url(kind)).unwrap().tls(tls::trusting());
            let builder = tls::builder().tls(identity()).proxy(proxy);
            builder.connect("wss://127.0.0.1/").unwrap().abort();
            server.join();
        }
    });
}

#[test]
fn a_proxy_that_asks_for_a_certificate_gets_the_one_of_its_own_options() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let clients = Ca::new();
        let leaf = clients.leaf(&["client"]);
        let config = tls::wants_client(&tls::ca().leaf(&["127.0.0.1"]), &clients);
        let relay = Relay::start_tls(server.addr, Rules::default(), config);
        // The certificate in the server's options is not for the proxy.
        let options = |options: TlsOptions| {
            options.client_certificate_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap()
        };
        let builder = tls::builder().tls(options(tls::trusting()));
        let refused = error(builder.clone().proxy(https(&relay)).connect("ws://server.test/"));
        assert!(matches!(refused, Error::Proxy(_)), "{refused:?}");
        assert_eq!(relay.asked(), []);

        let proxy = https(&relay).tls(options(tls::trusting()));
        builder.proxy(proxy).connect("ws://server.test/").unwrap().abort();
        server.join();
    });
}

#[test]
fn tls_options_of_a_proxy_that_do_not_work_open_no_socket() {
    watchdog(LIMIT, || {
        let proxy = listener();
        proxy.set_nonblocking(true).unwrap();
        let url = format!("https://{}", proxy.local_addr().unwrap());
        let options = TlsOptions::new().server_name("not a name");
        let builder = builder().proxy(Proxy::new(&url).unwrap().tls(options));
        let refused = error(builder.connect("ws://server.test/"));
        assert!(matches!(refused, Error::InvalidInput(_)), "{refused:?}");
        assert!(proxy.accept().is_err());
    });
}

#[test]
fn a_proxy_that_speaks_no_tls_is_an_error_of_the_proxy() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
        });
        let url = format!("https://{}", proxy.addr);
        let refused =
            error(builder().proxy(Proxy::new(&url).unwrap()).connect("ws://server.test/"));
        let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
        assert!(matches!(refused.problem(), ProxyProblem::Tls(_)), "{refused:?}");
        proxy.join();
    });
}

/// Starts a relay that lets `after` bytes of the proxy through, and then calls `then`. Its thread
/// returns `true` if the proxy sent no more than that.
fn stopping(
    server: SocketAddr,
    after: usize,
    then: impl FnOnce(&TcpStream) + Send + 'static,
) -> (SocketAddr, Joined<bool>) {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let pumping = spawn(move || {
        let client = listener.accept().unwrap().0;
        let upstream = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let mut left = after;
        let mut buffer = [0; 4096];
        while left > 0 {
            let most = left.min(buffer.len());
            match (&upstream).read(&mut buffer[..most]) {
                Ok(len @ 1..) => {
                    left -= len;
                    let _ = (&client).write_all(&buffer[..len]);
                }
                _ => return true,
            }
        }
        then(&client);
        false
    });
    (addr, pumping)
}

#[test]
fn an_https_proxy_that_stops_anywhere_is_given_up_and_never_bypassed() {
    watchdog(Duration::from_secs(60), || {
        let server = listener();
        server.set_nonblocking(true).unwrap();
        let server_addr = server.local_addr().unwrap();
        // The TLS handshake of a server with this certificate takes some 700 bytes, and the
        // answer some 60; TLS 1.3 tickets may come before or behind it.
        let relay = Relay::start_tls(server_addr, Rules::default(), tls::localhost());
        let mut seen = (0, 0);
        for after in (0..720).step_by(16) {
            let (front, pumping) = stopping(relay.addr, after, |client| {
                let _ = client.shutdown(std::net::Shutdown::Write);
            });
            let proxy = Proxy::new(&format!("https://{front}")).unwrap().tls(tls::trusting());
            let builder = tls::builder().proxy(proxy).open_timeout(Duration::from_secs(5));
            let refused = promptly(|| error(builder.connect("ws://server.test/")));
            assert!(refused.is_retryable(), "{after}: {refused:?}");
            let Error::Proxy(refused) = refused else { panic!("{after}: {refused:?}") };
            match refused.problem() {
                ProxyProblem::Tls(_) => seen.0 += 1,
                ProxyProblem::Eof => seen.1 += 1,
                other => panic!("{after}: {other:?}"),
            }
            pumping.join();
        }
        println!("{seen:?}");
        assert!(seen.0 > 10);
    });
}

#[test]
fn an_https_proxy_that_hangs_anywhere_is_given_up_at_the_open_timeout_and_at_an_abort() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let relay = Relay::start_tls(server.addr, Rules::default(), tls::localhost());
        let hang: fn(&TcpStream) = |mut client| {
            let _ = client.read_to_end(&mut Vec::new());
        };
        let waiting: Vec<_> = (0..700)
            .step_by(50)
            .map(|after| {
                let (front, pumping) = stopping(relay.addr, after, hang);
                let proxy = Proxy::new(&format!("https://{front}")).unwrap().tls(tls::trusting());
                let builder = tls::builder().proxy(proxy);
                spawn(move || {
                    let timeout = builder.clone().open_timeout(SHORT_OPENING);
                    let timeout =
                        takes(SHORT_OPENING, || error(timeout.connect("ws://server.test/")));
                    // A busy machine may need all the time to connect so many.
                    let expected = [Timeout::Proxy, Timeout::Connect];
                    let Error::Timeout(which) = &timeout else { panic!("{after}: {timeout:?}") };
                    assert!(expected.contains(which), "{after}: {timeout:?}");
                    // If no connection came at all, this one ends the thread. If one came, another
                    // test may have the port.
                    if !pumping.is_finished() {
                        drop(TcpStream::connect(front));
                    }
                    pumping.join();
                })
            })
            .collect();
        waiting.into_iter().for_each(Joined::join);

        let (hangs, when) = channel();
        let (front, pumping) = stopping(relay.addr, 300, move |client| {
            hangs.send(()).unwrap();
            hang(client);
        });
        let abort = AbortHandle::new();
        let proxy = Proxy::new(&format!("https://{front}")).unwrap().tls(tls::trusting());
        let builder = tls::builder().proxy(proxy).abort_handle(abort.clone());
        let connecting = spawn(move || error(builder.connect("ws://server.test/")));
        when.recv().unwrap(); // In the TLS handshake.
        abort.abort();
        let aborted = at_once(|| connecting.join());
        assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
        pumping.join();
        // No connection came through, so the server still waits.
        TcpStream::connect(server.addr).unwrap();
        drop(server);
    });
}
