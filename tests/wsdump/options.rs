//! Each option of the request, of TLS and of the network.

use std::fs;

use crate::scripts::temporary;
use crate::support::proxy::{Relay, Rules};
use crate::support::*;
use crate::tool::*;

/// Runs the tool with these options, and returns the head of its request.
fn request(args: &[&str], env: &[(&str, &str)]) -> String {
    let server = upgraded(|peer| {
        peer.send(&close(1000, ""));
        peer.request.clone()
    });
    let mut command = wsdump(&[args, &[&server.url()]].concat());
    let run = finished(command.envs(env.iter().copied()).spawn().unwrap());
    assert_eq!((run.status, &*run.out), (0, ""), "{}", run.err);
    server.join()
}

#[track_caller]
fn has(request: &str, lines: &[&str]) {
    for line in lines {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
}

#[test]
fn headers_are_added() {
    watchdog(LIMIT, || {
        let path = temporary("headers");
        fs::write(&path, "X-C: 3\n\nX-D: 4\n").unwrap();
        let file = format!("@{}", path.display());
        let sent = request(
            &["-H", "X-A: 1", "--header", "X-B: 2", "-H", &file, "--headers", "X-E: 5, 6, X-F: 7"],
            &[],
        );
        has(&sent, &["X-A: 1", "X-B: 2", "X-C: 3", "X-D: 4", "X-E: 5, 6", "X-F: 7"]);
        fs::remove_file(path).unwrap();
        let sent = request(
            &[
                "-o",
                "https://a.test",
                "-A",
                "me/1",
                "-e",
                "https://b.test/",
                "-b",
                "a=1",
                "-b",
                "b=2",
            ],
            &[],
        );
        has(&sent, &["Origin: https://a.test", "User-Agent: me/1", "Referer: https://b.test/"]);
        has(&sent, &["Cookie: a=1; b=2"]);
        assert!(!request(&["-H", "User-Agent:"], &[]).contains("User-Agent"));
    });
}

#[test]
fn credentials_come_from_options_files_and_the_environment() {
    watchdog(LIMIT, || {
        let path = temporary("secret");
        fs::write(&path, "me:secret\n").unwrap();
        let file = format!("@{}", path.display());
        const BASIC: &str = "Authorization: Basic bWU6c2VjcmV0";
        has(&request(&["-u", "me:secret"], &[]), &[BASIC]);
        has(&request(&["--user", "me:secret"], &[]), &[BASIC]);
        has(&request(&["--auth", &file], &[]), &[BASIC]);
        has(&request(&[], &[("WSDUMP_AUTH", "me:secret")]), &[BASIC]);
        has(
            &request(&["--bearer", "abc"], &[("WSDUMP_AUTH", "x:y")]),
            &["Authorization: Bearer abc"],
        );
        has(&request(&["--oauth2-bearer", &file], &[]), &["Authorization: Bearer me:secret"]);
        has(&request(&[], &[("WSDUMP_BEARER", "abc")]), &["Authorization: Bearer abc"]);
        assert!(!request(&[], &[("WSDUMP_BEARER", "")]).contains("Authorization"));
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn cookies_are_read_and_kept_in_files() {
    watchdog(LIMIT, || {
        let (jar, read) = (temporary("jar"), temporary("read"));
        let (jar_text, read_text) = (jar.to_str().unwrap(), read.to_str().unwrap());
        fs::write(&read, "127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n").unwrap();
        let server = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("Set-Cookie: new=2; Max-Age=1000; HttpOnly\r\n");
            peer.send(&answer);
            peer.send(&close(1000, ""));
            peer.request.clone()
        });
        run(&["-b", read_text, "--cookie-jar", jar_text, &server.url()]).gave(0, "");
        has(&server.join(), &["Cookie: old=1"]);
        let kept = fs::read_to_string(&jar).unwrap();
        assert!(kept.starts_with("# Netscape HTTP Cookie File\n"), "{kept}");
        assert!(kept.contains("\n127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n"), "{kept}");
        assert!(kept.contains("\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t"), "{kept}");
        has(&request(&["-c", jar_text], &[]), &["Cookie: old=1; new=2"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&jar).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_file(jar).unwrap();
        fs::remove_file(read).unwrap();
    });
}

#[test]
fn subprotocols_are_offered_in_every_way_of_writing() {
    watchdog(LIMIT, || {
        for args in [
            &["-s", "a", "b"][..],
            &["--subprotocols", "a,b"],
            &["--subprotocol", "a", "--protocol", "b"],
            &["-H", "Sec-WebSocket-Protocol: a, b"],
        ] {
            has(&request(args, &[]), &["Sec-WebSocket-Protocol: a, b"]);
        }
    });
}

#[test]
fn compression_is_offered_and_used() {
    watchdog(LIMIT, || {
        for option in ["--deflate", "--compressed"] {
            let server = serve(|peer| {
                peer.read_request();
                let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
                assert!(peer.request.contains("permessage-deflate"), "{}", peer.request);
                let answer = peer.good_answer(extension);
                peer.send(&answer);
                // "Hello" of RFC 7692 section 7.2.3.1.
                peer.send(b"\xC1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
                peer.send(&close(1000, ""));
            });
            let run = run(&[option, "-v", &server.url()]);
            assert_eq!((run.status, &*run.out), (0, "Hello\n"));
            assert!(run.err.contains(", compressed"), "{}", run.err);
            server.join();
        }
    });
}

#[test]
fn redirects_are_followed_unless_they_shall_not_be() {
    watchdog(LIMIT, || {
        let redirects = |to: &str| {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            serve(move |peer| {
                peer.read_request();
                peer.send(head.as_bytes());
            })
        };
        let last = upgraded(|peer| peer.send(&[text("here"), close(1000, "")].concat()));
        let first = redirects(&last.url());
        run(&["-L", &first.url()]).gave(0, "here\n");
        first.join();
        last.join();
        for option in [&["--no-redirect"][..], &["--max-redirs", "0"]] {
            let server = redirects("ws://other.test/");
            run(&[option, &[&server.url()]].concat()).failed(3, "302");
            server.join();
        }
    });
}

#[test]
fn a_command_for_curl_works_with_its_first_word_changed() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1000, ""));
            peer.request.clone()
        });
        let url = server.url().replace("ws://", "http://");
        let args = [
            url.as_str(),
            "-X",
            "GET",
            "--http1.1",
            "--compressed",
            "-S",
            "-N",
            "-g",
            "-f",
            "-H",
            "Upgrade: websocket",
            "-H",
            "Origin: https://app.test",
            "-H",
            "Cache-Control: no-cache",
            "-H",
            "Accept-Language: en",
            "-b",
            "session=1",
            "-H",
            "Connection: Upgrade",
            "-H",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "-H",
            "User-Agent: Mozilla/5.0",
            "-H",
            "Sec-WebSocket-Version: 13",
            "-H",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        ];
        let run = run(&args);
        let sent = server.join();
        assert_eq!(run.status, 0, "{}", run.err);
        has(&sent, &["Origin: https://app.test", "Cookie: session=1", "User-Agent: Mozilla/5.0"]);
        assert!(!sent.contains("dGhlIHNhbXBsZSBub25jZQ=="), "{sent}");
        assert_eq!(
            run.err,
            "left out, because the handshake writes them itself: Upgrade, Connection, \
             Sec-WebSocket-Key, Sec-WebSocket-Version, Sec-WebSocket-Extensions\n"
        );
    });
}

/// Starts a server over TLS, which closes normally.
fn secure(config: rustls::ServerConfig) -> Server<()> {
    tls::serve_tls(config, |peer| {
        peer.upgrade();
        peer.send(&close(1000, ""));
        peer.next_frame();
    })
}

#[test]
fn certificates_are_checked_as_the_options_say() {
    watchdog(LIMIT, || {
        let (ca, key_log) = (temporary("ca.pem"), temporary("keys"));
        fs::write(&ca, &tls::ca().pem).unwrap();
        let ca_path = ca.to_str().unwrap();
        for args in [
            &["-k"][..],
            &["-n"],
            &["--nocert"],
            &["--cacert", ca_path, "--tls13"],
            &["--insecure", "--tlsv1.3"],
        ] {
            let server = secure(tls::localhost());
            run(&[args, &[&server.url()]].concat()).gave(0, "");
            server.join();
        }
        let other = tls::config(&tls::ca().leaf(&["other.test"]));
        let server = secure(other);
        let args = ["--cacert", ca_path, "--server-name", "other.test", &server.url()];
        run(&args).gave(0, "");
        server.join();
        let server = secure(tls::localhost());
        let mut command = wsdump(&["-k", "--keylog", &server.url()]);
        let run = finished(command.env("SSLKEYLOGFILE", &key_log).spawn().unwrap());
        run.gave(0, "");
        server.join();
        assert!(fs::read_to_string(&key_log).unwrap().contains("CLIENT_TRAFFIC_SECRET"));
        // The roots of the system are trusted too.
        let server = secure(tls::localhost());
        let mut command = wsdump(&[server.url()]);
        finished(command.env("SSL_CERT_FILE", &ca).spawn().unwrap()).gave(0, "");
        server.join();
        fs::remove_file(ca).unwrap();
        fs::remove_file(key_log).unwrap();
    });
}

#[test]
fn a_client_certificate_is_shown() {
    watchdog(LIMIT, || {
        let leaf = tls::ca().leaf(&["client.test"]);
        let (cert, key, both) =
            (temporary("cert.pem"), temporary("key.pem"), temporary("both.pem"));
        fs::write(&cert, &leaf.pem).unwrap();
        fs::write(&key, &leaf.key_pem).unwrap();
        fs::write(&both, format!("{}{}", leaf.pem, leaf.key_pem)).unwrap();
        let (cert_path, key_path) = (cert.to_str().unwrap(), key.to_str().unwrap());
        for args in [&["--cert", cert_path, "--key", key_path][..], &["-E", both.to_str().unwrap()]]
        {
            let config = tls::wants_client(&tls::ca().leaf(&["localhost"]), tls::ca());
            let server = secure(config);
            run(&[args, &["-k", &server.url()]].concat()).gave(0, "");
            server.join();
        }
        for path in [cert, key, both] {
            fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn every_kind_of_proxy_is_used() {
    watchdog(LIMIT, || {
        for scheme in ["http", "socks4", "socks4a", "socks5", "socks5h"] {
            let server = upgraded(|peer| peer.send(&close(1000, "")));
            let relay = Relay::start(server.addr, Rules::default());
            let url = format!("ws://127.0.0.1:{}/", server.addr.port());
            run(&["-p", &relay.url(scheme), &url]).gave(0, "");
            assert_eq!(relay.asked().len(), 1, "{scheme}");
            server.join();
        }
        for option in ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"] {
            let server = upgraded(|peer| peer.send(&close(1000, "")));
            let relay = Relay::start(server.addr, Rules::default());
            run(&[option, &relay.addr.to_string(), &server.url()]).gave(0, "");
            assert_eq!(relay.asked().len(), 1, "{option}");
            server.join();
        }
    });
}

#[test]
fn a_proxy_gets_credentials_and_headers() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(1000, "")));
        let relay = Relay::start(server.addr, Rules { login: Some(("me", "secret")) });
        let proxy = relay.url("http");
        run(&[
            "-x",
            &proxy,
            "--proxy-user",
            "me:secret",
            "--proxy-header",
            "X-Team: blue",
            "ws://host.test/",
        ])
        .gave(0, "");
        let asked = relay.asked();
        assert_eq!(asked[0].user.as_deref(), Some("me"));
        assert!(asked[0].headers.contains(&"X-Team: blue".to_owned()), "{asked:?}");
        server.join();
    });
}

#[test]
fn every_line_for_a_proxy_is_sent_to_it_and_none_to_the_server() {
    watchdog(LIMIT, || {
        let path = temporary("proxy-headers");
        let lines = [
            "Proxy-Authorization: Bearer abc",
            "Connection: keep-alive",
            "Upgrade: x",
            "Sec-WebSocket-Protocol: y",
            "User-Agent: me/1",
        ];
        fs::write(&path, lines.join("\n")).unwrap();
        let server = upgraded(|peer| {
            peer.send(&close(1000, ""));
            peer.request.clone()
        });
        let relay = Relay::start(server.addr, Rules::default());
        let (proxy, file) = (relay.url("http"), format!("@{}", path.display()));
        // The line replaces the user and the password.
        let login = ["-U", "me:secret", "--proxy-header", &file];
        run(&[&["-x", &proxy], &login[..], &["ws://host.test/"]].concat()).gave(0, "");
        let asked = relay.asked();
        let [_host, headers @ ..] = &*asked[0].headers else { panic!("{asked:?}") };
        assert_eq!(headers, lines);
        let sent = server.join();
        assert!(!lines.iter().any(|line| sent.contains(line)), "{sent}");
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn the_certificate_of_a_proxy_is_checked_as_the_options_say() {
    watchdog(LIMIT, || {
        let ca = temporary("proxy-ca.pem");
        fs::write(&ca, &tls::ca().pem).unwrap();
        for args in [&["--proxy-insecure"][..], &["--proxy-cacert", ca.to_str().unwrap()]] {
            let server = upgraded(|peer| peer.send(&close(1000, "")));
            let relay = Relay::start_tls(server.addr, Rules::default(), tls::localhost());
            let proxy = format!("https://localhost:{}", relay.addr.port());
            run(&[args, &["-x", &proxy, "ws://host.test/"]].concat()).gave(0, "");
            server.join();
        }
        fs::remove_file(ca).unwrap();
    });
}

#[test]
fn the_roots_of_the_system_hold_for_every_https_proxy() {
    watchdog(LIMIT, || {
        let ca = temporary("system-ca.pem");
        fs::write(&ca, &tls::ca().pem).unwrap();
        for variable in [None, Some("http_proxy"), Some("HTTPS_PROXY"), Some("all_proxy")] {
            let is_secure = variable == Some("HTTPS_PROXY");
            let (url, server) = match is_secure {
                true => ("wss://host.test/", secure(tls::config(&tls::ca().leaf(&["host.test"])))),
                false => ("ws://host.test/", upgraded(|peer| peer.send(&close(1000, "")))),
            };
            let relay = Relay::start_tls(server.addr, Rules::default(), tls::localhost());
            let proxy = format!("https://localhost:{}", relay.addr.port());
            let mut command = match variable {
                None => wsdump(&["-x", &proxy, url]),
                Some(_) => wsdump(&[url]),
            };
            command.envs(variable.map(|name| (name, &proxy))).env("SSL_CERT_FILE", &ca);
            finished(command.spawn().unwrap()).gave(0, "");
            assert_eq!(relay.asked().len(), 1, "{variable:?}");
            server.join();
        }
        fs::remove_file(ca).unwrap();
    });
}

#[test]
fn hosts_can_be_excepted_from_proxies() {
    watchdog(LIMIT, || {
        let nobody = format!("http://{}", closed());
        for args in [&["--noproxy", "127.0.0.1", "-x", &nobody][..], &["-x", ""]] {
            let server = upgraded(|peer| peer.send(&close(1000, "")));
            run(&[args, &[&server.url()]].concat()).gave(0, "");
            server.join();
        }
        // The environment names a proxy for all hosts but this machine.
        let failed = |args: &[&str]| {
            let mut command = wsdump(&[args, &["--connect-timeout", "5", "ws://h.test/"]].concat());
            finished(command.env("http_proxy", &nobody).spawn().unwrap())
        };
        failed(&[]).failed(4, "proxy http://");
        let direct = failed(&["--noproxy", "*"]);
        assert!(matches!(direct.status, 2 | 7), "{}", direct.err);
    });
}

#[test]
fn a_server_must_have_a_pinned_key() {
    const NOBODY: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    watchdog(LIMIT, || {
        // The name of the certificate is not that of the URL.
        let config = || tls::config(&tls::ca().leaf(&["device.test"]));
        let pinned = config();
        let server = tls::serve_tls(pinned.clone(), |peer| peer.try_send(b"x").is_err());
        let refused = run(&["-k", "--pin", NOBODY, &server.url()]);
        server.join();
        assert_eq!((refused.status, &*refused.out), (5, ""), "{}", refused.err);
        let (_, shown) = refused.err.split_once("not pinned: ").unwrap();
        let (pin, _) = shown.split_once(". ").unwrap();

        let both = format!("{NOBODY};{pin}");
        for args in
            [&["--pin", pin][..], &["--pin", NOBODY, "--pinnedpubkey", pin], &["--pin", &both]]
        {
            let server = secure(pinned.clone());
            run(&[args, &["-k", &server.url()]].concat()).gave(0, "");
            server.join();
        }
        // The other checks go on.
        for (args, config) in [(&["-k", "--pin", pin][..], config()), (&["--pin", pin], pinned)] {
            let server = tls::serve_tls(config, |peer| peer.try_send(b"x").is_err());
            run(&[args, &[&server.url()]].concat()).failed(5, "certificate");
            server.join();
        }
    });
}

/// The whole network 127.0.0.0/8 is this machine on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn connections_leave_by_the_interface() {
    watchdog(LIMIT, || {
        for (interface, seen) in [("127.0.0.2", "127.0.0.2"), ("lo", "127.0.0.1")] {
            let server = serve(|peer| {
                let from = peer.socket().peer_addr().unwrap().ip().to_string();
                peer.upgrade();
                peer.send(&close(1000, ""));
                peer.next_frame();
                from
            });
            run(&["--interface", interface, &server.url()]).gave(0, "");
            assert_eq!(server.join(), seen);
        }
        for (interface, expected) in [
            ("192.0.2.1", "--interface 192.0.2.1: "),
            ("::1", "::1 cannot be its source"),
            ("no-such-device", "--interface no-such-device: "),
        ] {
            run(&["--interface", interface, "ws://127.0.0.1:1/"]).failed(2, expected);
        }
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_connected_to() {
    watchdog(LIMIT, || {
        let path = temporary("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            streams::upgrade(&mut stream);
            std::io::Write::write_all(&mut stream, &close(1000, "")).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        });
        run(&["--unix-socket", path.to_str().unwrap(), "ws://localhost/x"]).gave(0, "");
        server.join();
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_host_can_have_another_address() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1000, ""));
            peer.request.clone()
        });
        let port = server.addr.port();
        let resolve = format!("host.test:{port}:127.0.0.1");
        run(&["--resolve", &resolve, &format!("ws://host.test:{port}/")]).gave(0, "");
        has(&server.join(), &[&format!("Host: host.test:{port}")]);
    });
}

#[test]
fn one_version_of_ip_can_be_asked_for() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(1000, "")));
        let url = format!("ws://localhost:{}/", server.addr.port());
        run(&["-4", &url]).gave(0, "");
        server.join();
        run(&["-6", "ws://127.0.0.1:1/"]).failed(2, "127.0.0.1");
    });
}

#[test]
fn a_server_that_takes_nothing_is_given_up_if_that_is_asked_for() {
    watchdog(LIMIT, || {
        let (over, is_over) = std::sync::mpsc::channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&is_over);
        });
        let input = vec![b'x'; 64 << 20];
        let args = ["--write-timeout", "0.3", "--binary", &server.url()];
        run_with(&args, &input).failed(7, "timed out sending");
        drop(over);
        server.join();
    });
}

#[test]
fn a_close_that_is_not_answered_is_waited_for_as_long_as_asked_for() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("x"));
            peer.expect_close(1000);
            peer.expect_end();
        });
        let args = ["-1", "--close-timeout", "0.1", "--no-keepalive", &server.url()];
        promptly(|| run(&args)).gave(0, "x\n");
        server.join();
    });
}

#[test]
fn standard_input_can_be_left_alone() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("x"));
            answer_close(peer, 1000);
        });
        run_with(&["--no-input", "-1", &server.url()], b"not sent\n").gave(0, "x\n");
        server.join();
    });
}
