//! Sockets that code of the caller connects.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use landline::error::{Cause, ConnectError};
use landline::{AbortHandle, Builder, Error, Timeout};
use socket2::{Domain, Socket, Type};
use support::*;

const URL: &str = "ws://several.test/";

/// Returns a client for which `several.test` has these addresses.
fn resolving<const N: usize>(addresses: [SocketAddr; N]) -> Builder {
    builder().resolver(move |_, _| Ok(addresses.to_vec()))
}

fn connect(address: SocketAddr, _: Option<Instant>) -> io::Result<TcpStream> {
    TcpStream::connect(address)
}

fn connect_error(error: Error) -> Box<ConnectError> {
    match error {
        Error::Connect(error) => error,
        other => panic!("not about connecting: {other:?}"),
    }
}

/// Connects with `builder`, whose only address fails, and returns why.
fn why(builder: &Builder) -> (ErrorKind, String) {
    let failed = promptly(|| error(builder.connect(URL)));
    assert!(failed.is_retryable(), "{failed:?}");
    let failed = connect_error(failed);
    let [(_, why)] = failed.attempts() else { panic!("{failed:?}") };
    (why.kind(), why.to_string())
}

/// A connector that stays in its call until it is let go.
struct Stuck {
    is_inside: Receiver<SocketAddr>,
    release: Sender<()>,
}

impl Stuck {
    /// Returns it, and the part of the connector that blocks.
    fn new() -> (Self, impl Fn(SocketAddr) + Send + Sync + 'static) {
        let (inside, is_inside) = channel();
        let (release, released) = channel();
        let (inside, released) = (Mutex::new(inside), Mutex::new(released));
        let block = move |address| {
            inside.lock().unwrap().send(address).unwrap();
            let _ = released.lock().unwrap().recv();
        };
        (Self { is_inside, release }, block)
    }
}

/// The whole network 127.0.0.0/8 is this machine on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_is_bound_to_a_source_address_is_seen_to_come_from_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.socket().peer_addr().unwrap());
        let source: SocketAddr = "127.0.0.2:0".parse().unwrap();
        // Nothing of the other family can be bound to it, so the next address is tried.
        let other = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, server.addr.port()));
        let builder = resolving([other, server.addr]).connector(move |address, deadline| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.bind(&source.into())?;
            let left = deadline.unwrap().saturating_duration_since(Instant::now());
            socket.connect_timeout(&address.into(), left)?;
            Ok(socket.into())
        });
        let ws = builder.connect(URL).unwrap();
        assert_eq!(ws.peer_addr(), Some(server.addr));
        assert_eq!(ws.local_addr().unwrap().ip(), source.ip());
        assert_eq!(server.join(), ws.local_addr().unwrap());
    });
}

#[test]
fn a_connector_is_given_the_address_and_the_deadline() {
    watchdog(LIMIT, || {
        for timeout in [None, Some(Duration::from_secs(1000))] {
            let server = upgraded(|peer| peer.expect_end());
            let given = Arc::new(Mutex::new(Vec::new()));
            let log = given.clone();
            let builder = builder().open_timeout(timeout).connector(move |address, deadline| {
                log.lock().unwrap().push((address, deadline));
                connect(address, deadline)
            });
            let before = Instant::now();
            builder.connect(&server.url()).unwrap().abort();
            let after = Instant::now();
            let given = given.lock().unwrap();
            let [(address, deadline)] = given[..] else { panic!("{given:?}") };
            assert_eq!(address, server.addr);
            match timeout {
                Some(timeout) => {
                    let deadline = deadline.unwrap();
                    assert!(before + timeout <= deadline && deadline <= after + timeout);
                }
                None => assert_eq!(deadline, None),
            }
            server.join();
        }
    });
}

#[cfg(feature = "proxy")]
#[test]
fn with_a_proxy_the_connector_connects_to_the_proxy() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        for scheme in ["http", "socks5h"] {
            let server = upgraded(|peer| peer.expect_end());
            let relay = proxy::Relay::start(server.addr, proxy::Rules::default());
            let given = Arc::new(Mutex::new(Vec::new()));
            let log = given.clone();
            let builder = builder().proxy(Proxy::new(&relay.url(scheme)).unwrap()).connector(
                move |address, deadline| {
                    log.lock().unwrap().push(address);
                    connect(address, deadline)
                },
            );
            let ws = builder.connect("ws://behind.test:99/").unwrap();
            assert_eq!(ws.peer_addr(), Some(relay.addr));
            assert_eq!(*given.lock().unwrap(), [relay.addr]);
            assert_eq!(relay.asked()[0].destination, "behind.test:99");
            ws.abort();
            server.join();

            // What fails is said of the proxy.
            let failed = error(builder.connector(|_, _| panic!("a bug")).connect("ws://a.test/"));
            let Error::Proxy(failed) = failed else { panic!("{failed:?}") };
            assert!(failed.to_string().contains("the connector panicked"), "{failed}");
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_spoken_over_the_socket_of_a_connector() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(|peer| peer.expect_end());
        let ws = tls::builder().connector(connect).connect(&server.url()).unwrap();
        ws.abort();
        server.join();
    });
}

#[test]
fn a_connector_is_called_again_after_a_redirect() {
    watchdog(LIMIT, || {
        let goal = upgraded(|peer| peer.expect_end());
        let location = goal.url();
        let first = serve(move |peer| {
            peer.read_request();
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
            peer.send(head.as_bytes());
        });
        let given = Arc::new(Mutex::new(Vec::new()));
        let log = given.clone();
        let builder = builder().connector(move |address, deadline| {
            log.lock().unwrap().push(address);
            connect(address, deadline)
        });
        builder.connect(&first.url()).unwrap().abort();
        assert_eq!(*given.lock().unwrap(), [first.addr, goal.addr]);
        first.join();
        goal.join();
    });
}

#[test]
fn an_address_that_the_filter_refuses_is_not_given_to_the_connector() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let (allowed, denied) = (server.addr, closed());
        let builder = resolving([denied, allowed])
            .address_filter(move |address| address == allowed)
            .connector(move |address, deadline| {
                assert_eq!(address, allowed);
                connect(address, deadline)
            });
        builder.connect(URL).unwrap().abort();
        server.join();
    });
}

#[test]
fn an_address_whose_connector_is_slow_is_overtaken_and_its_late_socket_is_closed() {
    watchdog(LIMIT, || {
        let slow = listener();
        let slow_addr = slow.local_addr().unwrap();
        let server = upgraded(|peer| peer.expect_end());
        let (stuck, block) = Stuck::new();
        let both = Barrier::new(2);
        let builder = resolving([slow_addr, server.addr]).connector(move |address, deadline| {
            both.wait(); // The slow one is called first, and must be inside before the other wins.
            if address == slow_addr {
                block(address);
            }
            connect(address, deadline)
        });
        let ws = takes(Duration::from_millis(250), || builder.connect(URL).unwrap());
        assert_eq!(ws.peer_addr(), Some(server.addr));
        assert_eq!(stuck.is_inside.recv(), Ok(slow_addr));
        stuck.release.send(()).unwrap();
        let (mut late, _) = slow.accept().unwrap();
        assert_eq!(late.read(&mut [0]).unwrap(), 0, "the late socket is open");
        ws.abort();
        server.join();
    });
}

#[test]
fn a_connector_that_blocks_past_the_deadline_is_left_behind() {
    watchdog(LIMIT, || {
        let late = listener();
        let (stuck, block) = Stuck::new();
        let builder = resolving([late.local_addr().unwrap()]).open_timeout(PROMPT / 2).connector(
            move |address, deadline| {
                block(address);
                connect(address, deadline)
            },
        );
        let timeout = takes(PROMPT / 2, || error(builder.connect(URL)));
        assert!(matches!(timeout, Error::Timeout(Timeout::Connect)), "{timeout:?}");
        stuck.release.send(()).unwrap();
        let (mut late, _) = late.accept().unwrap();
        assert_eq!(late.read(&mut [0]).unwrap(), 0, "the late socket is open");
    });
}

#[test]
fn a_connector_that_blocks_is_left_behind_at_an_abort() {
    watchdog(LIMIT, || {
        let (stuck, block) = Stuck::new();
        let abort = AbortHandle::new();
        let builder = resolving([closed()])
            .open_timeout(None)
            .abort_handle(abort.clone())
            .connector(move |address, deadline| {
                block(address);
                connect(address, deadline)
            });
        let connecting = spawn(move || error(builder.connect(URL)));
        stuck.is_inside.recv().unwrap();
        abort.abort();
        let aborted = at_once(|| connecting.join());
        assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
    });
}

#[test]
fn a_connector_that_fails_or_panics_lets_the_next_address_start_at_once() {
    watchdog(LIMIT, || {
        for panics in [false, true] {
            let server = upgraded(|peer| peer.expect_end());
            let (good, bad) = (server.addr, closed());
            let connector = move |address, deadline| {
                if address == good {
                    return connect(address, deadline);
                }
                if panics {
                    // Prints no backtrace, which would take long.
                    resume_unwind(Box::new("a bug of the caller's"));
                }
                Err(io::Error::other("not today"))
            };
            let builder = resolving([bad, bad, bad, bad, bad, bad, bad, good]).connector(connector);
            // Waiting for each of them would take 250 ms seven times.
            let ws = takes_at_most(Duration::from_millis(1700), || builder.connect(URL).unwrap());
            ws.abort();
            server.join();
            let text = if panics { "the connector panicked" } else { "not today" };
            let failed = why(&resolving([bad]).connector(connector));
            assert_eq!(failed, (ErrorKind::Other, text.to_owned()));
        }
    });
}

#[test]
fn a_socket_that_is_connected_to_another_address_is_not_used() {
    watchdog(LIMIT, || {
        let elsewhere = listener();
        let elsewhere_addr = elsewhere.local_addr().unwrap();
        let server = upgraded(|peer| peer.expect_end());
        let asked = listener();
        let asked_addr = asked.local_addr().unwrap();
        let connector = move |address, deadline| {
            connect(if address == asked_addr { elsewhere_addr } else { address }, deadline)
        };
        let builder = resolving([asked_addr, server.addr]).connector(connector);
        let ws = builder.connect(URL).unwrap();
        assert_eq!(ws.peer_addr(), Some(server.addr));
        let (mut wrong, _) = elsewhere.accept().unwrap();
        assert_eq!(wrong.read(&mut [0]).unwrap(), 0, "it was sent something, or is open");
        ws.abort();
        server.join();

        let (kind, text) = why(&resolving([asked_addr]).connector(connector));
        assert_eq!(kind, ErrorKind::InvalidInput);
        assert!(text.contains(&elsewhere_addr.to_string()), "{text}");
    });
}

#[test]
fn a_socket_that_is_not_connected_is_not_used() {
    watchdog(LIMIT, || {
        let builder = resolving([closed()]).connector(|address, _| {
            Ok(Socket::new(Domain::for_address(address), Type::STREAM, None)?.into())
        });
        let (kind, text) = why(&builder);
        assert_eq!(kind, ErrorKind::NotConnected);
        assert!(text.contains("not connected"), "{text}");
    });
}

#[cfg(unix)]
#[test]
fn a_socket_of_another_kind_is_not_used() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    watchdog(LIMIT, || {
        let builder = resolving([closed()])
            .connector(|_, _| Ok(TcpStream::from(OwnedFd::from(UnixStream::pair()?.0))));
        assert!(why(&builder).1.contains("not connected by TCP"));
    });
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_same_machine() {
    watchdog(LIMIT, || {
        // Sockets of Windows for IPv6 speak nothing else, unless they are asked to.
        for as_v6 in [false, !cfg!(windows)] {
            let server = upgraded(|peer| peer.expect_end());
            let address = server.addr;
            let builder = builder().connector(move |given, deadline| {
                assert_eq!(given, address);
                if !as_v6 {
                    return connect(given, deadline);
                }
                let mapped = format!("[::ffff:{}]:{}", given.ip(), given.port());
                connect(mapped.parse().unwrap(), deadline)
            });
            let url = format!("ws://[::ffff:{}]:{}/", address.ip(), address.port());
            builder.connect(&url).unwrap().abort();
            server.join();
        }
    });
}

#[test]
fn an_unspecified_address_is_this_machine() {
    watchdog(LIMIT, || {
        let server = serve_on(TcpListener::bind("0.0.0.0:0").unwrap(), |peer| {
            peer.upgrade();
            peer.expect_end();
        });
        let url = format!("ws://0.0.0.0:{}/", server.addr.port());
        builder().connector(connect).connect(&url).unwrap().abort();
        server.join();
    });
}

#[test]
fn a_socket_in_non_blocking_mode_is_made_blocking() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let builder = builder()
            .connector(|address, deadline| {
                let stream = connect(address, deadline)?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            })
            // Nothing has arrived yet, so a read in non-blocking mode would not wait.
            .on_socket(|mut stream| {
                stream.set_read_timeout(Some(SHORT))?;
                takes(SHORT, || stream.read(&mut [0]).unwrap_err());
                Ok(())
            });
        builder.connect(&server.url()).unwrap().abort();
        server.join();
    });
}

#[test]
fn a_connector_has_the_usual_stack() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let builder = builder().connector(|address, deadline| {
            std::hint::black_box(&[1_u8; 1024 * 1024]);
            connect(address, deadline)
        });
        builder.connect(&server.url()).unwrap().abort();
        server.join();
    });
}
