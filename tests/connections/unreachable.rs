//! Addresses that cannot be connected to, and a port that connects to itself.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
#[cfg(target_os = "linux")]
use std::{net::TcpStream, time::Duration};

use landline::{Builder, Error};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use support::*;

/// Returns the error of the only address of this URL.
fn refusal(builder: &Builder, url: &str) -> (SocketAddr, std::io::Error) {
    let said = promptly(|| error(builder.connect(url)));
    assert!(said.is_retryable(), "{said:?}");
    let Error::Connect(refused) = said else { panic!("{url}: {said:?}") };
    assert!(refused.resolve_error().is_none());
    let shown = refused.to_string();
    let [(address, why)] = refused.attempts() else { panic!("{refused:?}") };
    assert!(shown.contains(&address.to_string()), "{shown}");
    (*address, std::io::Error::new(why.kind(), why.to_string()))
}

#[test]
fn an_address_without_a_route_is_refused_at_once() {
    watchdog(LIMIT, || {
        // The broadcast address, which TCP does not use, and a link-local address without its link.
        for url in ["ws://255.255.255.255:9/", "ws://[fe80::1]:9/"] {
            let (address, why) = refusal(&builder().open_timeout(None), url);
            assert_eq!(address.port(), 9);
            assert_ne!(why.kind(), ErrorKind::TimedOut, "{why}");
        }
    });
}

#[test]
fn a_name_whose_server_listens_at_one_of_its_addresses_is_found_there() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let url = format!("ws://localhost:{}/", server.addr.port());
        let ws = promptly(|| builder().connect(&url).unwrap());
        assert_eq!(ws.peer_addr(), Some(server.addr));
        drop(ws);
        server.join();
    });
}

#[test]
fn addresses_of_this_machine_are_told_apart() {
    watchdog(LIMIT, || {
        // All of 127.0.0.0/8 is this machine: two servers with one port.
        let pair = || {
            let first = listener();
            let port = first.local_addr().unwrap().port();
            Some((port, [first, TcpListener::bind(("127.0.0.2", port)).ok()?]))
        };
        // The port may be taken there.
        let Some((port, listeners)) = (0..20).find_map(|_| pair()) else {
            if cfg!(target_os = "linux") {
                panic!("127.0.0.2 is not this machine");
            }
            println!("127.0.0.2: not on this machine");
            return;
        };
        let servers = listeners.map(|listener| {
            serve_on(listener, |peer| {
                peer.upgrade();
                peer.header("Host")[0].to_owned()
            })
        });
        for (server, host) in servers.into_iter().zip(["127.0.0.1", "127.0.0.2"]) {
            let ws = builder().connect(&format!("ws://{host}:{port}/")).unwrap();
            assert_eq!(ws.peer_addr(), Some(server.addr));
            drop(ws);
            assert_eq!(server.join(), format!("{host}:{port}"));
        }
    });
}

/// The largest distance to the wanted port that is covered by connecting again and again.
#[cfg(target_os = "linux")]
const NEAR: u16 = 600;
/// The number of connects that reach the port from there, or pass it.
#[cfg(target_os = "linux")]
const TRIES: u16 = 8;

/// Returns a free port that the system gives next, or soon, to a socket that connects to it. For
/// each destination Linux gives one port after the other, and leaves some out.
#[cfg(target_os = "linux")]
fn soon_its_own(ports: &mut impl Iterator<Item = u16>) -> u16 {
    let mut soon = ports.filter(|&port| {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else { return false };
        loop {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let given = stream.local_addr().unwrap().port();
            // The connection must leave no trace, such as TIME_WAIT.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop((stream, listener.accept().unwrap()));
            match port.checked_sub(given) {
                Some(ahead) if ahead <= TRIES * 2 => return true,
                Some(ahead) if ahead <= NEAR => {}
                _ => return false,
            }
        }
    });
    soon.next().expect("a port that will be given soon")
}

/// A connecting socket may be given the port that it connects to. Then it is connected to itself,
/// and receives its own request.
#[cfg(target_os = "linux")]
#[test]
fn a_port_that_connects_to_itself_is_refused_as_a_port_where_nobody_listens() {
    watchdog(LIMIT, || {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let mut ends = range.split_whitespace().map(|end| end.parse::<u16>().unwrap());
        let (low, high) = (ends.next().unwrap(), ends.next().unwrap());
        // Linux gives ports of the same parity as the first one to sockets that connect, and the
        // others to those that listen.
        let mut ports = (low..high).step_by(2).cycle();
        let builder = builder();
        // Linux leaves out about four of five.
        for _ in 0..200 {
            let url = format!("ws://127.0.0.1:{}/", soon_its_own(&mut ports));
            for _ in 0..TRIES {
                let (_, why) = refusal(&builder, &url);
                assert_eq!(why.kind(), ErrorKind::ConnectionRefused, "{why}");
                // An error of the system has a number.
                if !why.to_string().contains("os error") {
                    return;
                }
            }
        }
        panic!("no port was given to whoever connects to it");
    });
}
