//! Tests what addresses leave behind that never answer.

use landline::WebSocket;

use crate::process::{again, open_sockets, passed, settled, value};
use crate::support::*;
use crate::{echoes, running};

#[test]
fn an_address_that_lost_the_race_keeps_a_thread_and_a_socket_until_the_open_timeout() {
    const TEST: &str = "addresses::\
                        an_address_that_lost_the_race_keeps_a_thread_and_a_socket_until_the_\
                        open_timeout";
    const CONNECTS: usize = 50;
    const SILENT: usize = 2;
    if value().is_none() {
        return watchdog(LIMIT, || passed(&again(TEST, ":", "").output().unwrap()));
    }
    let (silent, waiting) = full_backlog();
    let black_hole = silent.local_addr().unwrap();
    let servers: Vec<_> = (0..CONNECTS).map(|_| echoes()).collect();
    let connect = |server: &Server<()>, timeout| {
        let addr = server.addr;
        let builder = builder().open_timeout(timeout).resolver(move |_, _| {
            let mut addresses = vec![black_hole; SILENT];
            addresses.push(addr);
            Ok(addresses)
        });
        spawn(move || builder.connect("ws://several.test/").unwrap())
    };
    let sockets = open_sockets();
    let connecting: Vec<_> = servers.iter().map(|server| connect(server, PROMPT * 2)).collect();
    let open: Vec<WebSocket> = connecting.into_iter().map(Joined::join).collect();
    // The threads of the winners end just now.
    let connecting = || running("landline-connect");
    assert_eq!(settled(SILENT * CONNECTS, connecting), SILENT * CONNECTS);
    // Each connection has a socket here and one at its server, whose listener is closed.
    assert_eq!(open_sockets() - sockets, (SILENT + 1) * CONNECTS);
    open.iter().for_each(WebSocket::abort);
    servers.into_iter().for_each(Server::join);
    drop(open);
    assert_eq!(settled(0, connecting), 0);
    // The listeners of the servers are closed too.
    assert_eq!(settled(sockets - CONNECTS, open_sockets), sockets - CONNECTS);
    drop(waiting);
}
