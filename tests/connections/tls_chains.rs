//! Certificate chains that should not be accepted, or that cost much time.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use landline::Error;
use landline::error::TlsError;
use rcgen::{BasicConstraints, CertificateParams, GeneralSubtree, IsCa, NameConstraints};
use rustls::ServerConfig;
use support::tls::{Ca, Leaf, accept, ca, config, may_want_client, serve_tls, trusting};
use support::*;

/// Connects to a server with this certificate, and expects it to have `name`.
fn connect_to(leaf: &Leaf, name: &str) -> Result<(), Box<TlsError>> {
    promptly(|| answer(config(leaf), name))
}

fn answer(config: ServerConfig, name: &str) -> Result<(), Box<TlsError>> {
    let server = serve(move |peer| {
        let mut tls = accept(config, peer.socket().try_clone().unwrap());
        while tls.conn.is_handshaking() && tls.conn.complete_io(&mut tls.sock).is_ok() {}
        if !tls.conn.is_handshaking() {
            let mut peer = Peer::new(tls);
            peer.upgrade();
            peer.stall();
        }
    });
    let url = format!("wss://localhost:{}/", server.addr.port());
    let builder = builder().tls(trusting().server_name(name));
    let connected = builder.connect(&url);
    drop(builder);
    let result = match connected {
        // The server waits until the connection ends.
        Ok(ws) => {
            drop(ws);
            Ok(())
        }
        Err(Error::Tls(tls)) => Err(tls),
        Err(other) => panic!("not a TLS error: {other:?}"),
    };
    server.join();
    result
}

fn refused(leaf: &Leaf, name: &str) {
    let tls = connect_to(leaf, name).expect_err(name);
    assert!(tls.is_certificate(), "{name}: {tls}");
}

fn constrained(permitted: &[GeneralSubtree], excluded: &[GeneralSubtree]) -> Ca {
    ca().authority("limited", |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted.to_vec(),
            excluded_subtrees: excluded.to_vec(),
        });
    })
}

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.into())
}

#[test]
fn a_server_of_an_intermediate_authority_is_trusted() {
    watchdog(LIMIT, || {
        let between = ca().authority("between", |_| {});
        let leaf = between.leaf(&["a.example"]);
        connect_to(&leaf.chain([&between]), "a.example").unwrap();
        // Without the intermediate authority there is no chain.
        refused(&between.leaf(&["a.example"]), "a.example");
    });
}

#[test]
fn a_server_whose_certificate_is_signed_by_another_server_is_refused() {
    watchdog(LIMIT, || {
        let no_authority = ca().authority("a server", |params| params.is_ca = IsCa::NoCa);
        let leaf = no_authority.leaf(&["a.example"]);
        refused(&leaf.chain([&no_authority]), "a.example");
    });
}

#[test]
fn a_chain_that_is_longer_than_its_authority_allows_is_refused() {
    watchdog(LIMIT, || {
        let none = IsCa::Ca(BasicConstraints::Constrained(0));
        let last = ca().authority("the last", |params: &mut CertificateParams| params.is_ca = none);
        let more = last.authority("one more", |_| {});
        connect_to(&last.leaf(&["a.example"]).chain([&last]), "a.example").unwrap();
        refused(&more.leaf(&["a.example"]).chain([&more, &last]), "a.example");
    });
}

#[test]
fn wildcards_that_stand_for_more_than_the_first_label_are_refused() {
    watchdog(LIMIT, || {
        for (pattern, name) in [
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", ".example.com"),
            ("f*o.example", "foo.example"),
            ("*oo.example", "foo.example"),
            ("foo.*.example", "foo.bar.example"),
            ("*.*.example", "foo.bar.example"),
            ("*", "localhost"),
            ("*.0.0.1", "127.0.0.1"),
        ] {
            let leaf = ca().leaf(&[pattern]);
            match builder_refuses(name) {
                true => {}
                false => refused(&leaf, name),
            }
        }
        connect_to(&ca().leaf(&["*.example.com"]), "a.example.com").unwrap();
        connect_to(&ca().leaf(&["*.example.com"]), "A.EXAMPLE.com").unwrap();
    });
}

/// Returns whether the builder refuses a name, before any socket is opened.
fn builder_refuses(name: &str) -> bool {
    let tried = builder().tls(trusting().server_name(name)).connect("wss://127.0.0.1:1/");
    matches!(error(tried), Error::InvalidInput(_))
}

#[test]
fn a_server_whose_authority_is_not_permitted_to_name_it_is_refused() {
    watchdog(LIMIT, || {
        let mine = || constrained(&[dns("mine.example")], &[]);
        let vouched = |ca: &Ca, names: &[&str]| ca.leaf(names).chain([ca]);
        connect_to(&vouched(&mine(), &["a.mine.example"]), "a.mine.example").unwrap();
        connect_to(&vouched(&mine(), &["*.mine.example"]), "a.mine.example").unwrap();
        for names in [
            &["yours.example"][..],
            &["*.yours.example", "yours.example"],
            &["yours.example", "a.mine.example"],
            &["notmine.example", "yours.example"],
            // A wildcard that is wider than the permitted names.
            &["*.example"],
        ] {
            let name = names[0].replace('*', "yours");
            refused(&vouched(&mine(), names), &name);
        }
        let not_yours = || constrained(&[], &[dns("secret.example")]);
        connect_to(&vouched(&not_yours(), &["a.example"]), "a.example").unwrap();
        refused(&vouched(&not_yours(), &["secret.example"]), "secret.example");
        refused(&vouched(&not_yours(), &["a.secret.example"]), "a.secret.example");
        refused(&vouched(&not_yours(), &["*.secret.example"]), "a.secret.example");
        // A wildcard that covers an excluded name.
        refused(&vouched(&not_yours(), &["*.example"]), "secret.example");
    });
}

/// Returns `size` authorities of one name, each of which has signed the next one. A search for the
/// root finds a candidate at every step.
#[cfg(target_os = "linux")]
fn maze(size: usize) -> Vec<Ca> {
    let strangers = Ca::new().authority("maze", |_| {});
    let mut all = vec![strangers];
    for _ in 1..size {
        let next = all[all.len() - 1].authority("maze", |_| {});
        all.push(next);
    }
    all
}

#[cfg(target_os = "linux")]
#[test]
fn a_chain_of_authorities_that_leads_nowhere_costs_less_than_a_second() {
    watchdog(LIMIT * 3, || {
        let maze = maze(50);
        let leaf = maze[49].leaf(&["a.example"]).chain(&maze);
        let before = process::cpu_of_this_thread();
        let refused = answer(config(&leaf), "a.example").expect_err("no way to a root");
        let used = process::cpu_of_this_thread() - before;
        assert!(refused.is_certificate(), "{refused}");
        // Code that is not optimised takes three times as long.
        let most = std::time::Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 });
        assert!(used < most, "{used:?} of the processor");
    });
}

#[test]
fn a_server_with_control_characters_in_its_names_cannot_put_them_into_an_error() {
    watchdog(LIMIT, || {
        let leaf = ca().leaf(&["\u{1b}[2J\r\n.example", "b.example"]);
        let tls = connect_to(&leaf, "a.example").expect_err("another name");
        assert!(tls.is_certificate(), "{tls}");
        assert!(!tls.to_string().contains(char::is_control), "{tls}");
    });
}

#[test]
fn a_server_that_would_like_a_client_certificate_and_gets_none_goes_on() {
    watchdog(LIMIT, || {
        let clients = Ca::new();
        let config = may_want_client(&ca().leaf(&["localhost"]), &clients);
        let server = serve_tls(config, |peer| {
            peer.upgrade();
            peer.send(&text("as you like"));
            let shown = peer.with_tls(|tls| tls.conn.peer_certificates().map(<[_]>::len));
            peer.stall();
            shown
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), landline::Message::from("as you like"));
        drop(ws);
        assert_eq!(server.join(), None);
    });
}

#[test]
fn the_tls_that_is_locked_has_no_known_hole() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let locked = |name: &str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let version = lock.split(&entry).nth(1).unwrap().split('"').next().unwrap();
        let numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
        numbers.collect::<Vec<_>>()
    };
    // RUSTSEC-2026-0049, -0098, -0099, -0104; RUSTSEC-2026-0285, -0346.
    assert!(locked("rustls-webpki") >= vec![0, 103, 13]);
    assert!(locked("rustls") >= vec![0, 23, 46]);
}
