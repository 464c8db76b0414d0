//! What a connection knows of itself: how long it took to open.

#![allow(clippy::unwrap_used)] // The clippy.toml lets tests, but not what they call.

use crate::support;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landline::WebSocket;
use landline::facts::Timings;
use support::*;

/// The time by which the tests delay a step. Nothing else should take as long.
const STEP: Duration = Duration::from_millis(80);

/// Returns the steps that were done.
fn steps(timings: &Timings) -> Vec<Duration> {
    let Timings { lookup, connect, proxy, tls, upgrade, .. } = *timings;
    [lookup, connect, proxy, tls, Some(upgrade)].into_iter().flatten().collect()
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
        assert!(timings.lookup.unwrap() >= STEP, "{timings:?}");
        assert!(timings.connect.unwrap() >= STEP, "{timings:?}");
        assert!(timings.upgrade >= STEP, "{timings:?}");
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
        assert_eq!((timings.lookup, timings.proxy, timings.tls), (None, None, None));
        server.join();

        let server = upgraded(|peer| peer.expect_end());
        let stream = TcpStream::connect(server.addr).unwrap();
        let timings = timed(|| builder().connect_over("ws://over.test/", stream).unwrap());
        assert_eq!(steps(&timings), [timings.upgrade]);
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
            sleep(STEP);
            let mut peer = Peer::new(tls::accept(tls::localhost(), stream));
            peer.upgrade();
            peer.expect_end();
        });
        let timings = timed(|| tls::builder().connect(&format!("wss://{addr}/")).unwrap());
        assert!(timings.tls.unwrap() >= STEP, "{timings:?}");
        assert_eq!((timings.lookup, timings.proxy), (None, None));
        server.join();
    });
}

#[cfg(feature = "proxy")]
#[test]
fn a_proxy_has_a_time_besides_that_of_connecting_to_it() {
    use std::net::Shutdown;

    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.expect_end());
        let addr = server.addr;
        // A proxy of few words: it answers late, and leads to the server.
        let relay = serve(move |peer| {
            peer.read_request();
            sleep(STEP);
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
            let mut server = TcpStream::connect(addr).unwrap();
            let mut client = peer.socket().try_clone().unwrap();
            let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let upwards = spawn(move || {
                let _ = std::io::copy(&mut client, &mut up);
                let _ = up.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut server, &mut down);
            upwards.join();
        });
        let proxy = Proxy::new(&format!("http://{}", relay.addr)).unwrap();
        let timings = timed(|| builder().proxy(proxy).connect("ws://a.test/").unwrap());
        assert!(timings.proxy.unwrap() >= STEP, "{timings:?}");
        assert!(timings.connect.is_some());
        assert_eq!((timings.lookup, timings.tls), (None, None));
        relay.join();
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
        assert_eq!(timings.lookup, None);
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
        let path = std::env::temp_dir().join(format!("landline-facts-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            tungstenite::accept(stream).map(drop).map_err(|error| error.to_string())
        });
        let timings = timed(|| builder().connect_unix(&path, "ws://unix.test/").unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(timings.connect.is_some(), "{timings:?}");
        assert_eq!((timings.lookup, timings.proxy, timings.tls), (None, None, None));
        server.join().unwrap();
    });
}
