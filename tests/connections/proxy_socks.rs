//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929) byte by byte, and proxies that answer badly.

#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::error::{Cause, InvalidInput, ProxyProblem, SocksError};
use landline::proxy::Proxy;
use landline::{AbortHandle, Builder, Error, Message, Timeout};
use support::*;

const HOST: &[u8] = b"server.test";

/// The bytes that each side sends in turn, and the first ones that the client sends to the server.
struct Talk {
    scheme: &'static str,
    user: &'static str,
    steps: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Returns the handshakes that succeed, for the server `server.test` at 10.1.2.3 and port 80.
fn talks() -> Vec<Talk> {
    let request_5 = |kind: &[u8]| [&[5, 1, 0], kind, &[0, 80]].concat();
    let name = [&[3, 11], HOST].concat();
    let granted_5 = |address: &[u8]| [&[5, 0, 0], address, &[9, 9]].concat();
    let v4 = granted_5(&[1, 0, 0, 0, 0]);
    let step = |said: &[u8], answer: &[u8]| (said.to_vec(), answer.to_vec());
    let granted_4 = [0, 90, 0, 0, 0, 0, 0, 0];
    let mut talks = vec![
        Talk {
            scheme: "socks4",
            user: "",
            steps: vec![step(&[4, 1, 0, 80, 10, 1, 2, 3, 0], &granted_4)],
        },
        Talk {
            scheme: "socks4",
            user: "me@",
            steps: vec![step(b"\x04\x01\x00\x50\x0a\x01\x02\x03me\x00", &granted_4)],
        },
        Talk {
            scheme: "socks4a",
            user: "me@",
            steps: vec![step(
                b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00server.test\x00",
                // Some proxies send 4 instead of 0.
                &[4, 90, 255, 255, 255, 255, 255, 255],
            )],
        },
        Talk {
            scheme: "socks5",
            user: "",
            steps: vec![step(&[5, 1, 0], &[5, 0]), step(&request_5(&[1, 10, 1, 2, 3]), &v4)],
        },
        Talk {
            scheme: "socks5h",
            user: "me:pw@",
            steps: vec![
                step(&[5, 2, 0, 2], &[5, 2]),
                step(b"\x01\x02me\x02pw", &[1, 0]),
                step(&request_5(&name), &v4),
            ],
        },
        // A password that the proxy does not ask for is not sent.
        Talk {
            scheme: "socks5h",
            user: "me:pw@",
            steps: vec![step(&[5, 2, 0, 2], &[5, 0]), step(&request_5(&name), &v4)],
        },
    ];
    // Every form of the address in the reply, which is ignored.
    let long = [&[3, 255][..], &[b'x'; 255]].concat();
    let half = [&[3, 0x80][..], &[b'x'; 0x80]].concat();
    for address in [&[4; 17][..], &[3, 0], &half, &long] {
        talks.push(Talk {
            scheme: "socks5h",
            user: "",
            steps: vec![step(&[5, 1, 0], &[5, 0]), step(&request_5(&name), &granted_5(address))],
        });
    }
    talks
}

fn builder_for(scheme: &str, user: &str, proxy: SocketAddr) -> Builder {
    let proxy = Proxy::new(&format!("{scheme}://{user}{proxy}")).unwrap();
    builder().proxy(proxy).resolver(|name, port| {
        assert_eq!(name, "server.test");
        Ok(vec![SocketAddr::from(([10, 1, 2, 3], port))])
    })
}

fn hear(peer: &Peer, expected: &[u8]) {
    let mut said = vec![0; expected.len()];
    peer.socket().read_exact(&mut said).unwrap();
    assert_eq!(said, expected);
}

const URL: &str = "ws://server.test/";

#[test]
fn a_proxy_gets_the_bytes_of_the_rfcs_and_all_that_follow_are_the_servers() {
    watchdog(LIMIT, || {
        for talk in talks() {
            for drip in [false, true] {
                let steps = talk.steps.clone();
                let proxy = serve(move |peer| {
                    for (said, answer) in &steps {
                        hear(peer, said);
                        if drip {
                            peer.drip(answer, Duration::ZERO);
                        } else {
                            peer.send(answer);
                        }
                    }
                    peer.upgrade();
                    peer.send(&text("from the server"));
                    peer.expect_end();
                });
                let builder = builder_for(talk.scheme, talk.user, proxy.addr);
                let mut ws = builder.connect(URL).unwrap();
                assert_eq!(ws.recv().unwrap(), Message::from("from the server"));
                ws.abort();
                proxy.join();
            }
        }
    });
}

#[test]
fn bytes_right_after_the_reply_are_the_servers() {
    watchdog(LIMIT, || {
        for talk in talks() {
            let mut steps = talk.steps;
            steps.last_mut().unwrap().1.extend(b"HTTP/1.1 418 Teapot\r\n\r\n");
            let proxy = serve(move |peer| {
                for (said, answer) in &steps {
                    hear(peer, said);
                    peer.send(answer);
                }
                peer.fin();
                let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
            });
            let refused = error(builder_for(talk.scheme, talk.user, proxy.addr).connect(URL));
            let Error::Handshake(refused) = refused else { panic!("{refused:?}") };
            assert_eq!(refused.response().unwrap().status(), 418);
            proxy.join();
        }
    });
}

/// Plays the handshakes up to each byte of each answer, and calls `then`.
fn at_each_byte(then: fn(&mut Peer), check: fn(&Talk, SocketAddr)) {
    let mut waiting = Vec::new();
    for talk in talks().into_iter().take(6) {
        for step in 0..talk.steps.len() {
            for cut in 0..talk.steps[step].1.len() {
                let mut steps = talk.steps[..=step].to_vec();
                steps[step].1.truncate(cut);
                let talk = Talk { scheme: talk.scheme, user: talk.user, steps: Vec::new() };
                waiting.push(spawn(move || {
                    let proxy = serve(move |peer| {
                        for (said, answer) in &steps {
                            hear(peer, said);
                            peer.send(answer);
                        }
                        then(peer);
                    });
                    check(&talk, proxy.addr);
                    proxy.join();
                }));
            }
        }
    }
    assert!(waiting.len() > 50);
    waiting.into_iter().for_each(Joined::join);
}

#[test]
fn a_proxy_that_cuts_its_answer_anywhere_is_not_taken_for_a_refusal() {
    watchdog(LIMIT, || {
        at_each_byte(
            |peer| {
                peer.fin();
                peer.expect_end();
            },
            |talk, proxy| {
                let refused = error(builder_for(talk.scheme, talk.user, proxy).connect(URL));
                assert!(refused.is_retryable());
                let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
                assert!(matches!(refused.problem(), ProxyProblem::Eof), "{refused:?}");
            },
        );
    });
}

#[test]
fn a_proxy_that_resets_anywhere_is_not_taken_for_a_refusal() {
    watchdog(LIMIT, || {
        at_each_byte(Peer::rst, |talk, proxy| {
            let refused = error(builder_for(talk.scheme, talk.user, proxy).connect(URL));
            assert!(refused.is_retryable());
            let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
            assert!(matches!(refused.problem(), ProxyProblem::Io(_)), "{refused:?}");
        });
    });
}

#[test]
fn a_proxy_that_hangs_anywhere_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        at_each_byte(Peer::expect_end, |talk, proxy| {
            let timeout = SHORT_OPENING;
            let builder = builder_for(talk.scheme, talk.user, proxy).open_timeout(timeout);
            let timeout = takes(timeout, || error(builder.connect(URL)));
            // A busy machine may need all the time to connect so many.
            let expected = matches!(timeout, Error::Timeout(Timeout::Proxy | Timeout::Connect));
            assert!(expected, "{timeout:?}");
        });
    });
}

#[test]
fn a_proxy_that_is_silent_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        for talk in talks() {
            let (ready, when) = channel();
            let said = talk.steps[0].0.clone();
            let proxy = serve(move |peer| {
                hear(peer, &said);
                ready.send(()).unwrap();
                peer.expect_end();
            });
            let abort = AbortHandle::new();
            let builder = builder_for(talk.scheme, talk.user, proxy.addr);
            let builder = builder.abort_handle(abort.clone());
            let connecting = spawn(move || error(builder.connect(URL)));
            when.recv().unwrap();
            abort.abort();
            let aborted = at_once(|| connecting.join());
            assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
            proxy.join();
        }
    });
}

/// Returns the problem with a proxy that gives these answers, one to each message of the client.
fn problem(scheme: &'static str, user: &str, answers: &[&[u8]]) -> (SocksError, bool) {
    let answers: Vec<_> = answers.iter().map(|answer| answer.to_vec()).collect();
    let proxy = serve(move |peer| {
        for answer in answers {
            let mut said = [0; 600];
            assert!(peer.socket().read(&mut said).unwrap() > 0);
            peer.send(&answer);
        }
        peer.expect_end();
    });
    // The destination is an address, so that no other one is tried.
    let builder = builder_for(scheme, user, proxy.addr);
    let refused = promptly(|| error(builder.connect("ws://10.1.2.3/")));
    proxy.join();
    let retry = refused.is_retryable();
    let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(
        refused.proxy(),
        format!("{scheme}://{}", refused.proxy().rsplit('/').next().unwrap())
    );
    let ProxyProblem::Socks(problem) = refused.problem() else { panic!("{refused:?}") };
    (*problem, retry)
}

#[test]
fn a_socks_5_proxy_that_refuses_is_quoted_with_its_code() {
    watchdog(LIMIT, || {
        for code in 1..=255 {
            let (found, retry) = problem("socks5h", "", &[&[5, 0], &[5, code]]);
            assert_eq!(found, SocksError::Refused5(code));
            assert_eq!(retry, matches!(code, 1 | 3..=6), "{code}");
            let shown = found.to_string();
            assert!(shown.contains(&code.to_string()), "{shown}");
            assert_eq!(shown.contains("unknown"), code > 8, "{shown}");
        }
    });
}

#[test]
fn a_socks_4_proxy_that_refuses_is_quoted_with_its_code() {
    watchdog(LIMIT, || {
        for code in (0..=255).filter(|&code| code != 90) {
            let (found, retry) = problem("socks4a", "", &[&[0, code]]);
            assert_eq!(found, SocksError::Refused4(code));
            assert_eq!(retry, code == 91);
        }
    });
}

#[test]
fn a_proxy_that_does_not_speak_the_version_is_refused() {
    watchdog(LIMIT, || {
        for first in (0..=255).filter(|&first| first != 5) {
            let (found, retry) = problem("socks5h", "", &[&[first]]);
            assert_eq!((found, retry), (SocksError::NotSocks(first), false));
            let (found, _) = problem("socks5h", "", &[&[5, 0], &[first]]);
            assert_eq!(found, SocksError::NotSocks(first));
        }
        assert_eq!(problem("socks4", "", &[b"HTTP/1.1 400 "]).0, SocksError::NotSocks(b'H'));
        assert_eq!(problem("socks4", "", &[&[5, 0]]).0, SocksError::NotSocks(5));
        assert_eq!(problem("socks5", "a:b@", &[&[5, 2], &[2, 0]]).0, SocksError::NotSocks(2));
    });
}

#[test]
fn a_proxy_that_wants_another_way_to_authenticate_is_refused() {
    watchdog(LIMIT, || {
        for user in ["", "me:pw@"] {
            let none = problem("socks5", user, &[&[5, 255]]);
            assert_eq!(none, (SocksError::NoAcceptableMethod, false));
            for method in 1..255 {
                if method != 2 || user.is_empty() {
                    let (found, retry) = problem("socks5", user, &[&[5, method]]);
                    assert_eq!((found, retry), (SocksError::Method(method), false));
                }
            }
        }
        for status in 1..=255 {
            let (found, retry) = problem("socks5", "me:pw@", &[&[5, 2], &[1, status]]);
            assert_eq!((found, retry), (SocksError::WrongPassword, false));
        }
    });
}

#[test]
fn a_reply_with_an_unknown_address_type_is_refused() {
    watchdog(LIMIT, || {
        for kind in (0..=255).filter(|kind| !matches!(kind, 1 | 3 | 4)) {
            let (found, _) = problem("socks5", "", &[&[5, 0], &[5, 0, 0, kind]]);
            assert_eq!(found, SocksError::AddressType(kind));
        }
    });
}

#[test]
fn users_and_passwords_that_socks_cannot_send_are_refused_and_not_shown() {
    let canary = "canary".repeat(50);
    let just = "c".repeat(255);
    for scheme in ["socks5", "socks5h"] {
        let proxy = || Proxy::new(&format!("{scheme}://proxy.test")).unwrap();
        proxy().credentials(&*just, &*just).unwrap();
        proxy().credentials("user", "").unwrap();
        for (user, password) in [("", "canary"), (&*canary, "x"), ("x", &*canary), ("canary\n", "")]
        {
            let refused = error(proxy().credentials(user, password));
            let expected = matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_)));
            assert!(expected && !format!("{refused} {refused:?}").contains("canary"));
        }
    }
    let refused = error(Proxy::new("socks4://user:canary@proxy.test"));
    assert!(refused.to_string().contains("SOCKS 4 has no password"), "{refused}");
    assert!(!format!("{refused:?}").contains("canary"));
}

#[test]
fn a_name_without_an_ipv4_address_is_not_asked_of_a_socks_4_proxy() {
    watchdog(LIMIT, || {
        let proxy = listener();
        proxy.set_nonblocking(true).unwrap();
        let url = format!("socks4://{}", proxy.local_addr().unwrap());
        let builder = builder()
            .proxy(Proxy::new(&url).unwrap())
            .resolver(|_, port| Ok(vec![SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))]));
        let refused = error(builder.connect(URL));
        let Error::Connect(refused) = refused else { panic!("{refused:?}") };
        assert!(refused.resolve_error().unwrap().to_string().contains("IPv4"));
        assert!(proxy.accept().is_err());
    });
}
