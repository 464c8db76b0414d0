//! Name lookup, and the race of a name's addresses (RFC 8305).

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landline::error::Cause;
use landline::{AbortHandle, Builder, Error, Timeout};
use support::*;

/// Returns a client for which `several.test` has these addresses.
fn resolving(addresses: &[SocketAddr]) -> Builder {
    let addresses = addresses.to_vec();
    builder().resolver(move |name, port| {
        assert_eq!((name, port), ("several.test", 80));
        Ok(addresses.clone())
    })
}

const URL: &str = "ws://several.test/";

fn connect_error(error: Error) -> Box<landline::error::ConnectError> {
    match error {
        Error::Connect(error) => error,
        other => panic!("not about connecting: {other:?}"),
    }
}

#[test]
fn an_address_that_swallows_syns_is_overtaken_by_the_next() {
    watchdog(LIMIT, || {
        let (silent, waiting) = full_backlog();
        let server = upgraded(|peer| peer.expect_end());
        let builder = resolving(&[silent.local_addr().unwrap(), server.addr]);
        // The next address is tried after 250 ms.
        let ws = takes(Duration::from_millis(250), || builder.connect(URL).unwrap());
        assert_eq!(ws.peer_addr(), Some(server.addr));
        ws.abort();
        server.join();
        drop((silent, waiting));
    });
}

#[test]
fn an_address_that_answers_too_late_is_closed() {
    watchdog(LIMIT, || {
        let (silent, waiting) = full_backlog();
        let server = upgraded(|peer| peer.expect_end());
        let builder = resolving(&[silent.local_addr().unwrap(), server.addr]);
        let ws = builder.connect(URL).unwrap();
        // The backlog has room now, so the SYN that is sent again after a second is answered.
        let ours: Vec<_> =
            waiting.iter().filter_map(|client| client.local_addr().ok()?.as_socket()).collect();
        drop(waiting); // They send no SYN again that could take the room.
        let mut loser = loop {
            let (stream, from) = silent.accept().unwrap();
            if !ours.contains(&from) {
                break stream;
            }
        };
        assert_eq!(loser.read(&mut [0]).unwrap(), 0, "the loser of the race is open");
        ws.abort();
        server.join();
    });
}

#[test]
fn addresses_that_refuse_are_skipped_at_once() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let mut addresses = vec![closed(); 7];
        addresses.push(server.addr);
        let builder = resolving(&addresses);
        // Waiting for each of them would take 250 ms seven times.
        let ws = takes_at_most(Duration::from_millis(1700), || builder.connect(URL).unwrap());
        ws.abort();
        server.join();
    });
}

/// Starts a TLS server that returns the first byte it received, and reads until the client's Close.
#[cfg(feature = "tls")]
fn looks_at_the_first_byte() -> Server<u8> {
    serve(|peer| {
        let mut first = [0];
        peer.socket().peek(&mut first).unwrap();
        let socket = peer.socket().try_clone().unwrap();
        // Bytes in between that are not TLS would end the connection.
        let mut inner = Peer::new(tls::accept(tls::localhost(), socket));
        inner.upgrade();
        inner.expect(TEXT, b"secret");
        inner.expect_close(1001);
        first[0]
    })
}

#[cfg(feature = "tls")]
#[test]
fn a_secure_connection_goes_on_to_the_next_address_and_sends_nothing_in_the_clear() {
    const HANDSHAKE: u8 = 0x16;
    const URL: &str = "wss://localhost/";
    let at = |addresses: [SocketAddr; 2]| {
        tls::builder().resolver(move |name, port| {
            assert_eq!((name, port), ("localhost", 443));
            Ok(addresses.to_vec())
        })
    };
    watchdog(LIMIT, move || {
        let (silent, waiting) = full_backlog();
        for first in [closed(), silent.local_addr().unwrap()] {
            let server = looks_at_the_first_byte();
            let ws = at([first, server.addr]).connect(URL).unwrap();
            assert_eq!(ws.peer_addr(), Some(server.addr));
            ws.sender().send("secret").unwrap();
            drop(ws);
            assert_eq!(server.join(), HANDSHAKE);
        }
        drop(waiting);

        // A server that resets at once may count as not connected. After a server has read bytes,
        // no other address is tried.
        for reads in [false, true] {
            let next = listener();
            next.set_nonblocking(true).unwrap();
            let resets = serve(move |peer| {
                let mut first = [HANDSHAKE];
                if reads {
                    peer.socket().read_exact(&mut first).unwrap();
                }
                peer.rst();
                first[0]
            });
            let builder = at([resets.addr, next.local_addr().unwrap()]).open_timeout(PROMPT / 2);
            let refused = promptly(|| error(builder.connect(URL)));
            assert!(refused.is_retryable(), "{refused:?}");
            assert_eq!(resets.join(), HANDSHAKE);
            if let Ok((mut stream, _)) = next.accept() {
                assert!(!reads, "the next address was connected to");
                let mut first = [0];
                stream.read_exact(&mut first).unwrap();
                assert_eq!(first[0], HANDSHAKE);
            }
        }
    });
}

#[test]
fn addresses_that_all_refuse_are_all_listed() {
    watchdog(LIMIT, || {
        let addresses = [closed(), closed(), closed()];
        let refused = promptly(|| error(resolving(&addresses).connect(URL)));
        assert!(refused.is_retryable());
        let shown = refused.to_string();
        let refused = connect_error(refused);
        assert_eq!(refused.host(), "several.test");
        assert!(refused.resolve_error().is_none());
        let tried: Vec<_> = refused.attempts().iter().map(|(address, _)| *address).collect();
        assert_eq!(tried, addresses);
        for (address, error) in refused.attempts() {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(shown.contains(&address.to_string()), "{shown}");
        }
    });
}

#[test]
fn addresses_that_are_all_silent_are_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let (silent, waiting) = full_backlog();
        let address = silent.local_addr().unwrap();
        let builder = resolving(&[address, address, closed()]).open_timeout(SHORT * 4);
        let timeout = takes(SHORT * 4, || error(builder.connect(URL)));
        assert!(matches!(timeout, Error::Timeout(Timeout::Connect)), "{timeout:?}");
        drop(waiting);
    });
}

#[test]
fn a_name_with_a_thousand_addresses_is_tried_at_eight_of_both_families() {
    watchdog(LIMIT, || {
        let port = closed().port();
        let v4 = (0..500_u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from(Ipv4Addr::new(127, 1, high, low))
        });
        let v6 = (0..500).map(|_| IpAddr::from(Ipv6Addr::LOCALHOST));
        let addresses: Vec<_> = v4.chain(v6).map(|ip| SocketAddr::new(ip, port)).collect();
        let refused = promptly(|| error(resolving(&addresses).connect(URL)));
        let refused = connect_error(refused);
        let families: Vec<_> =
            refused.attempts().iter().map(|(address, _)| address.is_ipv4()).collect();
        // The addresses are tried one after the other: each is refused before the next is tried.
        assert_eq!(families, [true, false].repeat(4));
    });
}

#[test]
fn an_address_that_the_filter_refuses_is_never_connected_to() {
    watchdog(LIMIT, || {
        let denied = listener();
        denied.set_nonblocking(true).unwrap();
        let denied_addr = denied.local_addr().unwrap();
        let server = upgraded(|peer| peer.expect_end());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let filter = move |address| {
            log.lock().unwrap().push(address);
            address != denied_addr
        };
        let builder = resolving(&[denied_addr, server.addr]).address_filter(filter);
        let ws = builder.connect(URL).unwrap();
        assert_eq!(ws.peer_addr(), Some(server.addr));
        assert_eq!(*asked.lock().unwrap(), [denied_addr, server.addr]);
        ws.abort();
        server.join();

        // The filter sees an address in the URL too. A refused address is never tried.
        let refused = connect_error(error(builder.connect(&format!("ws://{denied_addr}/"))));
        let [(address, why)] = refused.attempts() else { panic!("{refused:?}") };
        assert_eq!((*address, why.kind()), (denied_addr, ErrorKind::PermissionDenied));
        assert!(refused.to_string().contains("filter"), "{refused}");

        // The same address written in another way is refused too.
        let mapped = format!("ws://[::ffff:{}]:{}/", denied_addr.ip(), denied_addr.port());
        let refused = connect_error(error(builder.connect(&mapped)));
        assert_eq!(refused.attempts()[0].1.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert_eq!(asked.lock().unwrap().last(), Some(&denied_addr));
        assert!(denied.accept().is_err(), "it was connected to");
    });
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_connected_to_by_ipv4() {
    watchdog(LIMIT, || {
        let mapped = |address: SocketAddr| {
            let mapped = format!("[::ffff:{}]:{}", address.ip(), address.port());
            mapped.parse::<SocketAddr>().unwrap()
        };
        let nobody = closed();
        let refused = connect_error(error(resolving(&[mapped(nobody)]).connect(URL)));
        assert_eq!(refused.attempts()[0].0, nobody);
        let server = upgraded(|peer| peer.expect_end());
        resolving(&[mapped(server.addr)]).connect(URL).unwrap().abort();
        server.join();
    });
}

#[test]
fn a_name_that_cannot_be_looked_up_says_why() {
    watchdog(LIMIT, || {
        let builder = builder().resolver(|_, _| Err(io::Error::other("no such name today")));
        let failed = error(builder.connect(URL));
        assert!(failed.is_retryable());
        let failed = connect_error(failed);
        assert_eq!(failed.resolve_error().unwrap().to_string(), "no such name today");
        assert!(failed.to_string().contains("several.test"), "{failed}");

        let failed = connect_error(error(resolving(&[]).connect(URL)));
        assert_eq!(failed.resolve_error().unwrap().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_resolver_that_panics_ends_the_attempt_at_once() {
    watchdog(LIMIT, || {
        let builder = builder().resolver(|_, _| panic!("a bug of the caller's"));
        let failed = promptly(|| connect_error(error(builder.connect(URL))));
        assert!(failed.resolve_error().is_some());
    });
}

#[test]
fn a_lookup_that_never_ends_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (inside, is_inside) = channel();
        let (release, released) = channel::<()>();
        let (inside, released) = (Mutex::new(inside), Mutex::new(released));
        let abort = AbortHandle::new();
        let builder = builder().abort_handle(abort.clone()).resolver(move |_, _| {
            inside.lock().unwrap().send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok(Vec::new())
        });
        let connecting = spawn(move || error(builder.connect(URL)));
        is_inside.recv().unwrap();
        abort.abort();
        let aborted = at_once(|| connecting.join());
        assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
        drop(release);
    });
}

#[test]
fn the_race_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (silent, waiting) = full_backlog();
        let address = silent.local_addr().unwrap();
        let (inside, is_inside) = channel();
        let inside = Mutex::new(inside);
        let abort = AbortHandle::new();
        let builder = resolving(&[address, address])
            .abort_handle(abort.clone())
            // The filter is asked just before the race.
            .address_filter(move |_| inside.lock().unwrap().send(()).is_ok());
        let connecting = spawn(move || error(builder.connect(URL)));
        is_inside.recv().unwrap();
        is_inside.recv().unwrap();
        abort.abort();
        let aborted = at_once(|| connecting.join());
        assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
        drop(waiting);
    });
}

#[test]
fn a_server_on_one_family_only_is_found() {
    watchdog(LIMIT, || {
        for (any, other) in [("127.0.0.1:0", "[::1]:0"), ("[::1]:0", "127.0.0.1:0")] {
            let Ok(listener) = TcpListener::bind(any) else {
                println!("{any}: not on this machine");
                continue;
            };
            let server = serve_on(listener, |peer| {
                peer.upgrade();
                peer.expect_end();
            });
            let mut other: SocketAddr = other.parse().unwrap();
            other.set_port(server.addr.port());
            let ws = promptly(|| resolving(&[other, server.addr]).connect(URL).unwrap());
            assert_eq!(ws.peer_addr(), Some(server.addr));
            ws.abort();
            server.join();
        }
    });
}
