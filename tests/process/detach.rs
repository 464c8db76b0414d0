//! Tests that no thread of the crate is detached by another one: glibc (2.36) may crash then.

use landline::{AbortHandle, App, Callbacks, CloseCode};

use crate::process::{again, passed, value};
use crate::support::*;
use crate::{echoes, preload};

#[test]
fn threads_of_the_crate_drop_their_own_handles() {
    const TEST: &str = "detach::threads_of_the_crate_drop_their_own_handles";
    let Some(ports) = value() else {
        return watchdog(LIMIT, || {
            let servers = [echoes(), echoes()];
            let [first, second] = servers.each_ref().map(|server| server.addr.port());
            let value = format!("{first} {second}");
            passed(&again(TEST, &preload("detach"), &value).output().unwrap());
            servers.into_iter().for_each(Server::join);
        });
    };
    // A name, so that there is a thread for the lookup too.
    let mut urls = ports.split(' ').map(|port| format!("ws://localhost:{port}/"));
    let abort = AbortHandle::new();
    let mut ws = builder().abort_handle(abort).connect(&urls.next().unwrap()).unwrap();
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());

    let callbacks = Callbacks::new().on_open(|ws, _| ws.close(CloseCode::NORMAL));
    let app = App::new(urls.next().unwrap(), callbacks).spawn().unwrap();
    app.join().unwrap();
}
