//! RFC 6455 section 4: the opening handshake, and the HTTP that it needs.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use landline::error::{HeadError, Mismatch};
use landline::http::Response;
use landline::proto::handshake::{Key, NotOpened, Offer, request};
use landline::proto::http;
use landline::proto::http::{BodyReader, HeadReader, MAX_BODY, MAX_HEAD, MAX_LINE};

/// The key of RFC 6455 section 1.3: the base64 of "the sample nonce".
fn sample_key() -> Key {
    Key::new(*b"the sample nonce")
}

const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[test]
fn section_1_3_a_server_answers_the_key_of_a_header() {
    let key = Key::from_header("dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(key, sample_key());
    assert_eq!(key.accept(), SAMPLE_ACCEPT);
}

fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|string| (*string).to_owned()).collect()
}

/// Reads a head whole, byte by byte, and cut at every point. The result must be the same each time.
fn read(bytes: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
    let whole = HeadReader::default().advance(bytes);
    let mut reader = HeadReader::default();
    let mut crumbs = Ok(None);
    for len in 0..=bytes.len() {
        crumbs = reader.advance(&bytes[..len]);
        if crumbs != Ok(None) {
            break;
        }
    }
    let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    assert_eq!(crumbs, whole, "byte by byte: {:?}", shown());
    let every = if bytes.len() <= 300 { 1 } else { bytes.len() / 16 };
    for len in (0..bytes.len()).step_by(every) {
        let mut reader = HeadReader::default();
        let mut found = reader.advance(&bytes[..len]);
        if found == Ok(None) {
            found = reader.advance(bytes);
        }
        assert_eq!(found, whole, "cut at {len}: {:?}", shown());
    }
    whole
}

fn response(head: &str) -> Response {
    let (response, len) = read(head.as_bytes()).expect(head).expect(head);
    assert_eq!(len, head.len());
    response
}

/// Returns the subprotocol of an answer that opens the connection.
fn verify(
    response: &Response,
    key: &Key,
    subprotocols: &[String],
) -> Result<Option<String>, NotOpened> {
    Ok(Offer::subprotocols(subprotocols).verify(response, key)?.subprotocol)
}

/// Returns a good answer to the sample key. Each line of `replace` takes the place of the one that
/// has the same name; a line without a value removes it.
fn answer(replace: &[&str]) -> Response {
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let accept = format!("Sec-WebSocket-Accept: {SAMPLE_ACCEPT}");
    let good = ["Upgrade: websocket", "Connection: Upgrade", &accept];
    let kept = good.iter().filter(|line| !replace.iter().any(|other| name(other) == name(line)));
    let lines = kept.chain(replace.iter().filter(|line| line.contains(':')));
    let mut head = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    response(&(head + "\r\n"))
}

mod section_1_3_accept_key {
    use super::*;

    #[test]
    fn the_sample_of_the_rfc() {
        assert_eq!(sample_key().as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(sample_key().accept(), SAMPLE_ACCEPT);
    }

    #[test]
    fn the_vector_of_websocket_client() {
        let random = [
            0x73, 0xa6, 0xfc, 0x85, 0x38, 0x38, 0x11, 0xe1, 0x9b, 0xda, 0x04, 0x0c, 0xce, 0xd5,
            0x75, 0xfe,
        ];
        let key = Key::new(random);
        assert_eq!(key.as_str(), "c6b8hTg4EeGb2gQMztV1/g==");
        assert_eq!(key.accept(), "Kxep+hNu9n51529fGidYu7a3wO0=");
    }
}

mod section_4_1_client_request {
    use super::*;

    #[test]
    fn the_request_is_these_bytes() {
        let expected = "GET /chat?room=1 HTTP/1.1\r\n\
            Host: server.example.com:8080\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\
            \r\n";
        let bytes = request("/chat?room=1", "server.example.com:8080", &sample_key(), &[], &[]);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn subprotocols_are_one_line_and_headers_follow_in_their_order() {
        let headers = [("Origin", "http://example.com"), ("X-B", "2"), ("x-a", "1"), ("X-B", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = "GET / HTTP/1.1\r\n\
            Host: [::1]\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: chat, superchat\r\n\
            Origin: http://example.com\r\n\
            X-B: 2\r\n\
            x-a: 1\r\n\
            X-B: 3\r\n\
            \r\n";
        let subprotocols = strings(&["chat", "superchat"]);
        let bytes = request("/", "[::1]", &sample_key(), &subprotocols, &headers);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}

mod section_4_2_2_server_answer {
    use super::*;

    fn verified(replace: &[&str], offered: &[&str]) -> Result<Option<String>, NotOpened> {
        verify(&answer(replace), &sample_key(), &strings(offered))
    }

    fn rows(rows: &[(&[&str], Result<(), &Mismatch>)]) {
        for (replace, expected) in rows {
            let expected = expected.map_err(|mismatch| mismatch.clone().into());
            assert_eq!(verified(replace, &[]).map(|_| ()), expected, "{replace:?}");
        }
    }

    #[test]
    fn a_good_answer_is_taken() {
        assert_eq!(verified(&[], &[]), Ok(None));
        assert_eq!(verified(&["Server: x", "Set-Cookie: a=b", "Set-Cookie: c=d"], &[]), Ok(None));
    }

    #[test]
    fn the_server_answers_another_status() {
        for status in [100, 102, 200, 204, 301, 304, 400, 401, 403, 404, 426, 429, 500, 503, 999] {
            let head = format!("HTTP/1.1 {status} x\r\nUpgrade: websocket\r\n\r\n");
            let verified = verify(&response(&head), &sample_key(), &[]);
            assert_eq!(verified, Err(NotOpened::Refused), "{status}");
        }
    }

    #[test]
    fn the_server_answers_101_in_http_1_0() {
        let accept = sample_key().accept();
        let head = format!(
            "HTTP/1.0 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        assert_eq!(verify(&response(&head), &sample_key(), &[]), Err(Mismatch::Version.into()));
        let head = head.replace("1.0", "1.1");
        assert_eq!(verify(&response(&head), &sample_key(), &[]), Ok(None));
    }

    #[test]
    fn the_server_says_something_else_in_upgrade() {
        let bad = Err(&Mismatch::Upgrade);
        rows(&[
            (&["Upgrade"], bad),
            (&["Upgrade: h2c"], bad),
            (&["Upgrade:"], bad),
            (&["Upgrade: websocket, h2c"], bad),
            (&["Upgrade: websocket/13"], bad),
            (&["Upgrade: websocke"], bad),
            (&["Upgrade: \"websocket\""], bad),
            (&["Upgrade: websocket", "Upgrade: websocket"], bad),
            (&["Upgrade: h2c", "Upgrade: websocket"], bad),
            (&["Upgrade: WebSocket"], Ok(())),
            (&["UPGRADE: \t WEBSOCKET \t "], Ok(())),
        ]);
    }

    #[test]
    fn the_server_says_something_else_in_connection() {
        let bad = Err(&Mismatch::Connection);
        rows(&[
            (&["Connection"], bad),
            (&["Connection:"], bad),
            (&["Connection: keep-alive"], bad),
            (&["Connection: upgraded"], bad),
            (&["Connection: up grade"], bad),
            (&["Connection: Upgrade;x"], bad),
            (&["Connection: \"Upgrade\""], bad),
            (&["Connection: keep-alive, UPGRADE"], Ok(())),
            (&["Connection: Upgrade, Keep-Alive"], Ok(())),
            (&["Connection: ,, upgrade\t,"], Ok(())),
            (&["Connection: keep-alive", "connection: upgrade"], Ok(())),
        ]);
    }

    #[test]
    fn the_server_does_not_prove_that_it_read_our_key() {
        let bad = Err(&Mismatch::Accept);
        rows(&[
            (&["Sec-WebSocket-Accept"], bad),
            (&["Sec-WebSocket-Accept:"], bad),
            (&["Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ=="], bad),
            (&["Sec-WebSocket-Accept: S3PplmbItXAq9KygZZHzrBk+XoO="], bad),
            (&["Sec-WebSocket-Accept: s3pplmbitxaq9kygzzhzrbk+xoo="], bad),
            (&["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo"], bad),
            (&["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=x"], bad),
            (&["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, x"], bad),
            (&["Sec-WebSocket-Accept: \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\""], bad),
            (
                &["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Accept: x"],
                bad,
            ),
            (
                &[
                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                ],
                bad,
            ),
            (&["sec-websocket-ACCEPT: \t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t"], Ok(())),
        ]);
    }

    #[test]
    fn the_server_replays_the_answer_to_another_key() {
        let replayed = verify(&answer(&[]), &Key::new([7; 16]), &[]);
        assert_eq!(replayed, Err(Mismatch::Accept.into()));
    }

    #[test]
    fn the_server_uses_an_extension_that_we_did_not_offer() {
        for value in
            ["x-foo", "permessage-deflate", "x-webkit-deflate-frame", "", "__proto__", ",,;;"]
        {
            let line = format!("Sec-WebSocket-Extensions: {value}");
            assert_eq!(verified(&[&line], &["chat"]), Err(Mismatch::Extension.into()), "{value}");
        }
    }

    #[test]
    fn the_server_chooses_a_subprotocol() {
        let offered = ["chat", "superchat"];
        let bad = Err(&Mismatch::Subprotocol);
        /// The lines of the answer, the offered subprotocols, and the chosen one.
        type Row<'a> = (&'a [&'a str], &'a [&'a str], Result<Option<&'a str>, &'a Mismatch>);
        let rows: [Row<'_>; 13] = [
            (&[], &offered, Ok(None)),
            (&["chat"], &offered, Ok(Some("chat"))),
            (&[" superchat\t"], &offered, Ok(Some("superchat"))),
            (&["chat"], &[], bad),
            (&[""], &[], bad),
            (&[""], &offered, bad),
            (&["other"], &offered, bad),
            (&["Chat"], &offered, bad),
            (&["chat, superchat"], &offered, bad),
            (&["chat,"], &offered, bad),
            (&["chat", "superchat"], &offered, bad),
            (&["chat", "chat"], &offered, bad),
            (&["chät"], &offered, bad),
        ];
        for (values, offered, expected) in rows {
            let lines: Vec<String> =
                values.iter().map(|value| format!("Sec-WebSocket-Protocol: {value}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let expected = expected
                .map(|chosen| chosen.map(str::to_owned))
                .map_err(|mismatch| mismatch.clone().into());
            assert_eq!(verified(&lines, offered), expected, "{values:?} of {offered:?}");
        }
    }

    #[test]
    fn headers_without_a_meaning_in_a_101_are_ignored() {
        for line in ["Content-Length: 7", "Transfer-Encoding: chunked", "Sec-WebSocket-Version: 8"]
        {
            let mut answer = answer(&[line]);
            assert_eq!(verify(&answer, &sample_key(), &[]), Ok(None), "{line}");
            assert!(BodyReader::new(&answer).is_complete(b""), "{line}: no body follows a 101");
            http::keep_body(&mut answer, b"\x81\x05Hello");
            assert_eq!(answer.body(), b"");
        }
    }
}

mod rfc_9112_response_heads {
    use super::*;

    fn rows(rows: &[(&[u8], HeadError)]) {
        for (head, error) in rows {
            let shown = String::from_utf8_lossy(head);
            assert_eq!(read(head).unwrap_err(), *error, "{shown:?}");
        }
    }

    /// Returns a head with these lines after a good status line.
    fn lines(lines: &[u8]) -> Vec<u8> {
        [b"HTTP/1.1 101 x\r\n", lines, b"\r\n\r\n"].concat()
    }

    #[test]
    fn the_peer_speaks_something_else_and_we_say_so_at_once() {
        let other = HeadError::NotHttp;
        rows(&[
            (b"SSH-2.0-OpenSSH_9.6\r\n", other),
            (b"ICY 101 OK\r\n", other),
            (b"\x15\x03\x03\x00\x02\x02\x16", other),
            (b"<html>", other),
            (b"http/1.1 101 x\r\n\r\n", other),
            (b" HTTP/1.1 101 x\r\n\r\n", other),
            (b"\r\nHTTP/1.1 101 x\r\n\r\n", other),
            (b"HTTQ", other),
            (b"\0", other),
        ]);
    }

    #[test]
    fn the_peer_breaks_the_status_line() {
        let bad = HeadError::BadStatusLine;
        rows(&[
            (b"HTTP/2 101\r\n\r\n", bad),
            (b"HTTP/2.0 101 x\r\n\r\n", bad),
            (b"HTTP/1.10 101 x\r\n\r\n", bad),
            (b"HTTP/1.2 101 x\r\n\r\n", bad),
            (b"HTTP/01.1 101 x\r\n\r\n", bad),
            (b"HTTP/1.1\r\n\r\n", bad),
            (b"HTTP/1.1 \r\n\r\n", bad),
            (b"HTTP/1.1 10\r\n\r\n", bad),
            (b"HTTP/1.1 1010 x\r\n\r\n", bad),
            (b"HTTP/1.1 +101 x\r\n\r\n", bad),
            (b"HTTP/1.1 0x65 x\r\n\r\n", bad),
            (b"HTTP/1.1 099 x\r\n\r\n", bad),
            (b"HTTP/1.1 000 x\r\n\r\n", bad),
            ("HTTP/1.1 １０１ x\r\n\r\n".as_bytes(), bad),
            (b"HTTP/1.1  101 x\r\n\r\n", bad),
            (b"HTTP/1.1\t101 x\r\n\r\n", bad),
            (b"HTTP/1.1 101\tx\r\n\r\n", bad),
            (b"HTTP/1.1 101x\r\n\r\n", bad),
            (b"HTTP/1.1 101 a\0b\r\n\r\n", bad),
            (b"HTTP/1.1 101 a\x1bb\r\n\r\n", bad),
            (b"HTTP/1.1 101 a\x7fb\r\n\r\n", bad),
            (b"HTTP/\r\n", bad),
        ]);
    }

    #[test]
    fn the_peer_breaks_the_line_ends() {
        let bad = HeadError::BadLineEnd;
        rows(&[
            (b"HTTP/1.1 101 x\n", bad),
            (b"HTTP/1.1 101 x\nUpgrade: websocket\n\n", bad),
            (b"HTTP/1.1 101 x\r\nUpgrade: websocket\n", bad),
            (b"HTTP/1.1 101 x\r\nA: b\r\n\n", bad),
            (b"HTTP/1.1 101 x\r\n\n", bad),
            (b"HTTP/1.1 101\rx\r\n\r\n", bad),
            (b"HTTP/1.1 101 x\r\r\n\r\n", bad),
            (b"HTTP/1.1 101 x\r\nA: b\rC: d\r\n\r\n", bad),
            (b"HTTP/1.1 101 x\r\nA: b\r\r\n\r\n", bad),
            (b"HTTP/1.1 101 x\r\n\rA", bad),
        ]);
    }

    #[test]
    fn the_peer_breaks_a_header_line() {
        for line in [
            &b"Upgrade : websocket"[..],
            b"Upgrade\t: websocket",
            b"Upgrade WebSocket",
            b": websocket",
            b":",
            b" Upgrade: websocket",
            b"A: b\r\n folded",
            b"A: b\r\n\tfolded",
            b"A: b\r\n \r\nC: d",
            b"A: b\0c",
            b"A: \0",
            b"A: b\x1bc",
            b"A: \x7f",
            b"A: \x08",
            b"A: \x0b",
            b"A: \x0c",
            b"A\0: b",
            b"A B: c",
            b"A(: b",
            b"A\"B: c",
            b"A/B: c",
            b"A@B: c",
            b"A[0]: c",
            b"A=B: c",
            b"{A}: c",
            b"\xc3\xa4: b",
            b"\xff: b",
            b"A\x7f: b",
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(read(&lines(line)).unwrap_err(), HeadError::BadHeader, "{shown:?}");
        }
    }

    /// The status of a refusal must not be lost because of another line.
    #[test]
    fn the_peer_refuses_with_a_malformed_head_and_its_status_is_kept() {
        let long = format!("B: {}", "b".repeat(MAX_LINE));
        let rows: &[(&str, &[&str])] = &[
            ("A: a\r\nX Trace Id: 77\r\nC: c\r\n\r\n", &["a", "c"]),
            ("A: a\r\nX\r\n: y\r\nC : c\r\nD: d\r\n\r\n", &["a", "d"]),
            ("A: a\0\r\nB: \x1b\r\nC: c\r\n\r\n", &["c"]),
            (&format!("A: a\r\n{long}\r\nC: c\r\n\r\n"), &["a", "c"]),
            // A line that the next one continues is left out, because only a part of it is known.
            ("A: a\r\n b\r\n\tc\r\nD: d\r\n\r\n", &["d"]),
            ("A: a\r\nX Y: b\r\n c\r\n\r\n", &["a"]),
            // A bare LF or CR does not begin a new line.
            ("A: a\nB: b\r\nC: c\r\n\r\n", &["c"]),
            ("A: a\rB: b\r\nC: c\r\n\r\n", &["c"]),
            ("A: a\n\nB: b\r\n\r\n", &[]),
            ("\n\r\nC: c\r\n\r\n", &["c"]),
        ];
        for status in [200, 302, 404, 503, 999] {
            for (rest, values) in rows {
                let head = format!("HTTP/1.1 {status} x\r\n{rest}");
                let (response, len) = read(head.as_bytes()).unwrap().unwrap();
                assert_eq!((response.status(), len), (status, head.len()), "{head:?}");
                let kept: Vec<_> = response.headers().iter().map(|(_, value)| value).collect();
                let expected: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
                assert_eq!(kept, expected, "{head:?}");
                // A head that opens the connection must not have such lines.
                assert!(read(head.replacen(&status.to_string(), "101", 1).as_bytes()).is_err());
            }
        }
        let many = "A: a\r\n".repeat(200);
        let response = response(&format!("HTTP/1.1 503 x\r\n{many}\r\n"));
        assert_eq!(response.headers().iter().count(), 128);
        let much = format!("HTTP/1.1 503 x\r\n{}", "A: a\r\n".repeat(MAX_HEAD));
        assert_eq!(read(much.as_bytes()).unwrap_err(), HeadError::HeadTooLarge);
    }

    /// Reads a head that does not end, all at once and byte by byte, and returns its refusal.
    fn cut_refusal(new: impl Fn() -> HeadReader, head: &str) -> Option<Response> {
        let mut reader = new();
        assert_eq!(reader.advance(head.as_bytes()), Ok(None), "{head:?}");
        let mut crumbs = new();
        for len in 0..=head.len() {
            assert_eq!(crumbs.advance(&head.as_bytes()[..len]), Ok(None), "{head:?}");
        }
        let refusal = reader.refusal();
        assert_eq!(crumbs.refusal(), refusal, "byte by byte: {head:?}");
        refusal
    }

    /// The peer ends the stream, or its lines end in CR LF first and then in LF.
    #[test]
    fn the_peer_cuts_the_head_of_a_refusal_and_its_status_is_kept() {
        let rows: &[(&str, &[&str])] = &[
            ("", &[]),
            ("\n", &[]),
            ("\nno token\n", &[]),
            ("A: a\r\n", &["a"]),
            ("A: a\r\nB: b", &["a"]),
            ("A: a\r\nB: b\r", &["a"]),
            ("A: a\r\nX Y: b\r\nB: b\r\n\r", &["a", "b"]),
            ("A: a\r\n\nno token\n", &["a"]),
            ("A: a\r\n\nB: b\nC: c\r\nD: d\r\n", &["a", "d"]),
            // The line before may be continued by this one.
            ("A: a\r\nB: b\r\n", &["a", "b"]),
            ("A: a\r\nB: b\r\n ", &["a"]),
            ("A: a\r\nB: b\r\n\tc", &["a"]),
            ("A: a\r\nB: b\r\n\tc\r\n d", &["a"]),
        ];
        for (rest, values) in rows {
            let head = |status| format!("HTTP/1.1 {status} x\r\n{rest}");
            for status in [200, 204, 302, 401, 407, 503, 999] {
                let head = head(status);
                let refusal = cut_refusal(HeadReader::default, &head).expect(&head);
                assert_eq!((refusal.status(), refusal.reason()), (status, "x"));
                let kept: Vec<_> = refusal.headers().iter().map(|(_, value)| value).collect();
                let expected: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
                assert_eq!(kept, expected, "{head:?}");
                if status >= 300 {
                    assert_eq!(cut_refusal(HeadReader::for_tunnel, &head), Some(refusal));
                }
            }
        }
        let bare = cut_refusal(HeadReader::default, "HTTP/1.1 401 x\nA: a\nB: b").unwrap();
        assert_eq!((bare.status(), bare.headers().iter().count()), (401, 1));
    }

    #[test]
    fn the_peer_cuts_a_head_that_refuses_nothing_yet() {
        for head in ["", "HTTP/1.1 4", "HTTP/1.1 401", "HTTP/1.1 401 x", "HTTP/1.1 401 x\r"] {
            assert_eq!(cut_refusal(HeadReader::default, head), None, "{head:?}");
            assert_eq!(cut_refusal(HeadReader::for_tunnel, head), None, "{head:?}");
        }
        for rest in ["", "\r", "A: a", "A: a\r\n"] {
            for status in [100, 101, 103] {
                let head = format!("HTTP/1.1 {status} x\r\n{rest}");
                assert_eq!(cut_refusal(HeadReader::default, &head), None, "{head:?}");
            }
            for status in [101, 200, 299] {
                let head = format!("HTTP/1.1 {status} x\r\n{rest}");
                assert_eq!(cut_refusal(HeadReader::for_tunnel, &head), None, "{head:?}");
            }
        }
    }

    /// RFC 9112 section 2.2: a recipient may accept a single LF as the end of a line.
    #[test]
    fn the_peer_refuses_with_bare_line_feeds_and_its_status_is_kept() {
        let head = "HTTP/1.1 503 x\nRetry-After: 5\nA: a\r\n\nbody";
        let (response, len) = read(head.as_bytes()).unwrap().unwrap();
        assert_eq!((response.status(), &head[len..]), (503, "body"));
        assert_eq!(response.headers().get("Retry-After"), Some("5"));
        assert_eq!(response.headers().get("A"), Some("a"));
        // The reason may be malformed too.
        for status in [503, 200] {
            let response = self::response(&format!("HTTP/1.1 {status} \x1b[2J\r\n\r\n"));
            assert_eq!((response.status(), response.reason()), (status, ""));
        }
    }

    /// A head that opens a tunnel is read strictly: the next byte after it is the server's.
    #[test]
    fn a_proxy_opens_a_tunnel_by_a_well_formed_head_only() {
        for rest in ["\n\n", "\r\nX Y: z\r\n\r\n", "\r\nA: a\r\n b\r\n\r\n"] {
            for (status, is_read) in [(200, false), (299, false), (100, false), (407, true)] {
                let head = format!("HTTP/1.1 {status} x{rest}");
                let read = HeadReader::for_tunnel().advance(head.as_bytes());
                assert_eq!(read.is_ok_and(|read| read.is_some()), is_read, "{head:?}");
            }
        }
    }

    #[test]
    fn the_peer_writes_unusual_heads_that_are_allowed() {
        for (head, status, reason) in [
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, "Switching Protocols"),
            ("HTTP/1.1 101 \r\n\r\n", 101, ""),
            ("HTTP/1.1 101\r\n\r\n", 101, ""),
            ("HTTP/1.1 101  two  spaces \t\r\n\r\n", 101, " two  spaces \t"),
            ("HTTP/1.1 200 schön\r\n\r\n", 200, "schön"),
            ("HTTP/1.0 999 x\r\n\r\n", 999, "x"),
        ] {
            let response = response(head);
            assert_eq!((response.status(), response.reason()), (status, reason), "{head:?}");
            assert_eq!(http::minor_version(&response), u8::from(head.starts_with("HTTP/1.1")));
            assert_eq!(response.headers().iter().count(), 0);
        }
        let head = lines(b"A:b\r\na: \t c d \t\r\nEmpty:\r\n!#$%&'*+-.^_`|~09aZ: x:y\r\nT: a\tb");
        let (response, len) = read(&head).unwrap().unwrap();
        assert_eq!(len, head.len());
        let headers = response.headers();
        assert_eq!(headers.all("A").collect::<Vec<_>>(), [&b"b"[..], b"c d"]);
        assert_eq!(headers.get("a"), Some("b"));
        assert_eq!(headers.get("EMPTY"), Some(""));
        assert_eq!(headers.get("!#$%&'*+-.^_`|~09AZ"), Some("x:y"));
        assert_eq!(headers.get("t"), Some("a\tb"));
        assert_eq!(headers.get("missing"), None);
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "a", "Empty", "!#$%&'*+-.^_`|~09aZ", "T"], "order and case kept");
    }

    #[test]
    fn the_peer_sends_values_that_are_not_utf_8_and_they_are_kept_as_bytes() {
        let all: Vec<u8> = (0x80..=0xff).collect();
        for name in ["Location", "Set-Cookie", "X", "Sec-WebSocket-Protocol", "Upgrade"] {
            let head = lines(&[name.as_bytes(), b": ", &all].concat());
            let (response, _) = read(&head).unwrap().unwrap();
            assert_eq!(response.headers().all(name).collect::<Vec<_>>(), [&all[..]]);
            assert_eq!(response.headers().get(name), None);
            assert!(verify(&response, &sample_key(), &strings(&["chat"])).is_err());
            let _shown = format!("{response:?}");
        }
    }

    #[test]
    fn frames_glued_to_the_head_are_not_part_of_it() {
        let head = lines(b"Upgrade: websocket");
        for after in [&b"\x81"[..], b"\x81\x05Hello", b"\r\n", b"HTTP/1.1 200 x\r\n\r\n"] {
            let (_, len) = read(&[&head, after].concat()).unwrap().unwrap();
            assert_eq!(len, head.len());
        }
    }

    #[test]
    fn the_peer_stops_anywhere_in_the_head_and_we_wait_for_more() {
        let head = lines(b"Upgrade: websocket\r\nConnection: Upgrade");
        for len in 0..head.len() {
            assert_eq!(read(&head[..len]), Ok(None), "{len}");
        }
    }

    #[test]
    fn no_more_is_missing_than_the_shortest_end_of_the_head() {
        for (head, missing) in [
            ("", 14),
            ("HTTP/1.1 ", 5),
            // A head that opens a tunnel must end all lines in CR LF.
            ("HTTP/1.1 2", 4),
            ("HTTP/1.1 200 OK", 4),
            ("HTTP/1.1 200 OK\r", 3),
            ("HTTP/1.1 200 OK\r\n", 2),
            ("HTTP/1.1 200 OK\r\nA: b", 4),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r", 1),
            ("HTTP/1.1 100 OK\r\n", 2),
            // A refusal may end its lines in LF.
            ("HTTP/1.1 4", 4),
            ("HTTP/1.1 407", 2),
            ("HTTP/1.1 407 No", 2),
            ("HTTP/1.1 407 No\r", 1),
            ("HTTP/1.1 407 No\r\n", 1),
            ("HTTP/1.1 407 No\nA: b", 2),
            ("HTTP/1.1 407 No\nA: b\n", 1),
        ] {
            let mut reader = HeadReader::for_tunnel();
            assert_eq!(reader.advance(head.as_bytes()), Ok(None), "{head:?}");
            assert_eq!(reader.missing(head.as_bytes()), missing, "{head:?}");
        }
    }

    #[test]
    fn reading_only_what_is_missing_takes_nothing_of_what_follows_the_head() {
        for (head, mut reader) in [
            ("HTTP/1.1 200 OK\r\n\r\n", HeadReader::for_tunnel()),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", HeadReader::for_tunnel()),
            ("HTTP/1.1 407 No\r\nA: b\r\n\r\n", HeadReader::for_tunnel()),
            ("HTTP/1.1 407 No\nA: b\n\n", HeadReader::for_tunnel()),
            ("HTTP/1.1 400\n\n", HeadReader::for_tunnel()),
            ("HTTP/1.1 101 OK\r\nA: b\r\n\r\n", HeadReader::default()),
            ("HTTP/1.1 200 No\n\n", HeadReader::default()),
            ("HTTP/1.1 200 No\r\nA: b\r\n\r\n", HeadReader::default()),
        ] {
            let bytes = [head.as_bytes(), &[b'\n'; 20]].concat();
            let mut read = 0;
            let len = loop {
                if let Some((_, len)) = reader.advance(&bytes[..read]).unwrap() {
                    break len;
                }
                read += reader.missing(&bytes[..read]);
            };
            assert_eq!((read, len), (head.len(), head.len()), "{head:?}");
        }
    }

    #[test]
    fn the_peer_sends_interim_responses_and_each_is_read_by_itself() {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        let mut rest = [&interim[..], &lines(b"Upgrade: websocket")].concat();
        let mut statuses = Vec::new();
        while !rest.is_empty() {
            let (response, len) = read(&rest).unwrap().unwrap();
            assert!(len > 0);
            statuses.push(response.status());
            assert!(BodyReader::new(&response).is_complete(b""), "an interim response has no body");
            rest.drain(..len);
        }
        assert_eq!(statuses, [100, 103, 101]);
    }

    #[test]
    fn cookies_and_credentials_do_not_show_in_debug_output() {
        let head = lines(
            b"Set-Cookie: canary1\r\nauthorization: canary2\r\nProxy-Authorization: canary3\r\n\
              COOKIE: canary4\r\nServer: shown",
        );
        let (response, _) = read(&head).unwrap().unwrap();
        let shown = format!("{response:?} {:?}", response.headers());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("shown"), "{shown}");
    }
}

mod limits_of_a_head {
    use super::*;

    const STATUS: &str = "HTTP/1.1 101 x\r\n";

    #[test]
    fn the_peer_sends_a_line_of_the_limit_and_one_byte_more() {
        for (over, expected) in [(0, Ok(())), (1, Err(HeadError::LineTooLong))] {
            let rows = [
                format!("HTTP/1.1 101 {}\r\n\r\n", "r".repeat(MAX_LINE - 13 + over)),
                format!("{STATUS}A: {}\r\n\r\n", "v".repeat(MAX_LINE - 3 + over)),
                format!("{STATUS}{}: v\r\n\r\n", "n".repeat(MAX_LINE - 3 + over)),
                format!("{STATUS}A: b\r\nC: {}\r\n\r\n", " ".repeat(MAX_LINE - 3 + over)),
            ];
            for head in rows {
                let found = read(head.as_bytes()).map(|found| assert!(found.is_some()));
                assert_eq!(found, expected);
            }
        }
        assert_eq!(MAX_LINE, 16_384);
    }

    #[test]
    fn the_peer_never_ends_a_line_and_we_stop_at_the_limit() {
        for begun in ["HTTP/1.1 101 ", "HTTP/", "HTTP/1.1 101 x\r\nA: ", "HTTP/1.1 101 x\r\nA"] {
            let endless = [begun.as_bytes(), &vec![b'a'; 3 * MAX_LINE]].concat();
            assert_eq!(read(&endless), Err(HeadError::LineTooLong), "{begun:?}");
            let mut reader = HeadReader::default();
            let line = begun.len() - begun.rfind('\n').map_or(0, |at| at + 1);
            let most = begun.len() - line + MAX_LINE + 1;
            assert_eq!(reader.advance(&endless[..most]), Ok(None), "{begun:?}");
            assert!(reader.advance(&endless[..most + 1]).is_err(), "{begun:?}");
        }
    }

    #[test]
    fn the_peer_sends_128_lines_and_one_more() {
        for (lines, expected) in [(128, Ok(())), (129, Err(HeadError::TooManyLines))] {
            let head = format!("{STATUS}{}\r\n", "A: b\r\n".repeat(lines));
            assert_eq!(read(head.as_bytes()).map(|_| ()), expected);
            let cookies = format!("{STATUS}{}", "Set-Cookie: a=b\r\n".repeat(lines));
            assert_eq!(read(cookies.as_bytes()).map(|_| ()), expected, "before the head ends");
        }
    }

    #[test]
    fn the_peer_sends_a_head_of_64_kib_and_one_byte_more() {
        let lines = format!("A: {}\r\n", "v".repeat(1_019)).repeat(63);
        let left = MAX_HEAD - STATUS.len() - lines.len() - "B: \r\n\r\n".len();
        for (over, expected) in [(0, Ok(Some(MAX_HEAD))), (1, Err(HeadError::HeadTooLarge))] {
            let head = format!("{STATUS}{lines}B: {}\r\n\r\n", "v".repeat(left + over));
            let found = read(head.as_bytes()).map(|found| found.map(|(_, len)| len));
            assert_eq!(found, expected);
        }
        assert_eq!(MAX_HEAD, 65_536);
    }
}

mod rfc_9112_section_6_body_of_a_refusal {
    use super::*;

    #[test]
    fn the_reader_looks_at_a_chunk_that_is_whole_once() {
        let refusal = response("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut reader = BodyReader::new(&refusal);
        assert!(!reader.is_complete(b"1\r\nx\r\n"));
        // This would be the end, if it was read again.
        assert!(!reader.is_complete(b"0\r\n\r\n?1\r\ny\r\n"));
        assert!(reader.is_complete(b"0\r\n\r\n?1\r\ny\r\n0\r\n\r\n"));
    }

    /// Returns the body that is kept of `raw`, and whether it is complete. It must be the same
    /// however the bytes are cut: the driver reads until it is complete, and then keeps it.
    fn kept(headers: &str, raw: &[u8]) -> (Vec<u8>, bool) {
        let refusal = || response(&format!("HTTP/1.1 403 Forbidden\r\n{headers}\r\n"));
        let read_in = |sizes: &mut dyn FnMut(usize) -> usize| {
            let mut refusal = refusal();
            let mut len = 0;
            let mut reader = BodyReader::new(&refusal);
            while !reader.is_complete(&raw[..len]) && len < raw.len() {
                len = sizes(len).min(raw.len());
            }
            http::keep_body(&mut refusal, &raw[..len]);
            assert!(refusal.body().len() <= MAX_BODY);
            (refusal.body().to_vec(), BodyReader::new(&refusal).is_complete(&raw[..len]))
        };
        let whole = read_in(&mut |_| raw.len());
        let shown = String::from_utf8_lossy(&raw[..raw.len().min(80)]);
        if raw.len() <= 300 {
            assert_eq!(read_in(&mut |len| len + 1), whole, "byte by byte: {headers:?} {shown:?}");
            for cut in 0..raw.len() {
                let cut_once = read_in(&mut |len| if len < cut { cut } else { raw.len() });
                assert_eq!(cut_once, whole, "cut at {cut}: {headers:?} {shown:?}");
            }
        }
        whole
    }

    #[test]
    fn the_peer_says_the_length() {
        for (length, raw, body, complete) in [
            ("5", "Hello", "Hello", true),
            ("5", "Hello, and more", "Hello", true),
            ("5", "Hel", "Hel", false),
            ("0", "", "", true),
            ("0", "Hello", "", true),
            ("005", "Hello", "Hello", true),
            ("5\r\nContent-Length: 5", "Hello!", "Hello", true),
        ] {
            let headers = format!("Content-Length: {length}\r\n");
            let expected = (body.as_bytes().to_vec(), complete);
            assert_eq!(kept(&headers, raw.as_bytes()), expected, "{length:?} {raw:?}");
        }
    }

    #[test]
    fn the_peer_says_a_length_that_makes_no_sense_and_the_body_is_empty_at_once() {
        for length in [
            "18446744073709551616",
            "99999999999999999999999999",
            "-1",
            "+5",
            "0x5",
            "5 5",
            "5, 6",
            "5;",
            "five",
            "",
            "\u{665}",
            "5\r\nContent-Length: 6",
            "5\r\nContent-Length: ",
        ] {
            let headers = format!("Content-Length: {length}\r\n");
            assert_eq!(kept(&headers, b"Hello"), (vec![], true), "{length:?}");
        }
    }

    #[test]
    fn the_peer_says_the_largest_length_and_there_is_no_wrap() {
        let headers = "Content-Length: 18446744073709551615\r\n";
        assert_eq!(kept(headers, b"Hello"), (b"Hello".to_vec(), false));
    }

    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

    #[test]
    fn the_peer_sends_chunks() {
        for (raw, body, complete) in [
            ("5\r\nHello\r\n0\r\n\r\n", "Hello", true),
            ("0\r\n\r\n", "", true),
            ("5\r\nHello\r\n1;name=value\r\n!\r\n0\r\n\r\n", "Hello!", true),
            ("00a\r\n0123456789\r\n0\r\n\r\n", "0123456789", true),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", true),
            ("5\r\nHel", "Hel", false),
            ("5\r\nHello\r\n", "Hello", false),
            ("5", "", false),
            ("", "", false),
        ] {
            let expected = (body.as_bytes().to_vec(), complete);
            assert_eq!(kept(CHUNKED, raw.as_bytes()), expected, "{raw:?}");
        }
    }

    /// RFC 9112 sections 6.1 and 6.3: only the last coding tells the length, and HTTP/1.0 has none.
    #[test]
    fn the_peer_names_codings_that_do_not_end_with_chunks_and_the_body_goes_on_to_the_end() {
        let raw = b"5\r\nHello\r\n0\r\n\r\n";
        for codings in [
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked,\r\n",
        ] {
            assert_eq!(kept(codings, raw), (raw.to_vec(), false), "{codings:?}");
        }
        for codings in ["Transfer-Encoding: gzip, Chunked \r\n", CHUNKED] {
            assert_eq!(kept(codings, raw), (b"Hello".to_vec(), true), "{codings:?}");
        }
        let old = response(&format!("HTTP/1.0 403 No\r\n{CHUNKED}\r\n"));
        assert!(!BodyReader::new(&old).is_complete(raw));
    }

    #[test]
    fn the_peer_sends_chunks_whose_data_looks_like_the_last_chunk() {
        let raw = b"f\r\nab\r\n0\r\n\r\ncdefgh\r\n0\r\n\r\n";
        assert_eq!(kept(CHUNKED, raw), (b"ab\r\n0\r\n\r\ncdefgh".to_vec(), true));
    }

    #[test]
    fn the_peer_ends_its_chunks_with_an_extension_a_trailer_or_many_zeros() {
        for end in ["0;name=value\r\n\r\n", "0\r\nTrailer: x\r\n\r\n", "000\r\n\r\n"] {
            let raw = format!("5\r\nHello\r\n{end}");
            assert_eq!(kept(CHUNKED, raw.as_bytes()), (b"Hello".to_vec(), true), "{end:?}");
        }
    }

    #[test]
    fn the_peer_breaks_the_chunks_and_what_was_well_formed_is_kept() {
        for (raw, body) in [
            ("FFFFFFFFFFFFFFFFF\r\nHello", ""),
            ("-5\r\nHello", ""),
            ("+5\r\nHello", ""),
            ("0x5\r\nHello", ""),
            ("g\r\nHello", ""),
            ("\r\nHello", ""),
            ("5\r\nHello\r\nFFFFFFFFFFFFFFFFF\r\nHello", "Hello"),
            ("5\r\nHello!5\r\nHello", "Hello"),
        ] {
            let (found, _) = kept(CHUNKED, raw.as_bytes());
            assert_eq!(found, body.as_bytes(), "{raw:?}");
        }
        // The largest size does not wrap; the bytes that came are kept.
        let (found, _) = kept(CHUNKED, b"FFFFFFFFFFFFFFFF\r\nHello");
        assert_eq!(found, b"Hello");
    }

    #[test]
    fn the_peer_breaks_the_chunks_and_we_do_not_wait_for_more() {
        for raw in ["FFFFFFFFFFFFFFFFF\r\nHello", "g\r\nHello", "5\r\nHello!5\r\nHello"] {
            let (_, complete) = kept(CHUNKED, raw.as_bytes());
            assert!(complete, "{raw:?} can never become a body");
        }
    }

    #[test]
    fn the_peer_says_nothing_and_the_body_goes_on_to_the_end() {
        assert_eq!(kept("", b"Hello"), (b"Hello".to_vec(), false));
        assert_eq!(kept("", b""), (vec![], false));
    }

    #[test]
    fn the_peer_never_ends_the_body_and_64_kib_are_kept() {
        let endless = vec![b'x'; MAX_BODY + 1_000];
        for headers in ["", "Content-Length: 1000000\r\n"] {
            let (body, complete) = kept(headers, &endless);
            assert!(complete && body == endless[..MAX_BODY], "{headers:?}");
            let (body, complete) = kept(headers, &endless[..MAX_BODY - 1]);
            assert!(!complete && body.len() == MAX_BODY - 1, "{headers:?}");
        }
        let chunk = [b"FFFFFF\r\n", &endless[..]].concat();
        assert_eq!(kept(CHUNKED, &chunk).0.len(), MAX_BODY - 8);
        assert_eq!(MAX_BODY, 65_536);
    }

    #[test]
    fn responses_that_never_have_a_body_have_none() {
        for status in [101, 204, 304] {
            let mut response =
                response(&format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n"));
            assert!(BodyReader::new(&response).is_complete(b""), "{status}");
            http::keep_body(&mut response, b"Hello");
            assert_eq!(response.body(), b"", "{status}");
        }
    }

    #[test]
    fn every_other_response_has_one() {
        for status in [200, 201, 203, 205, 303, 305, 400, 407, 999] {
            let mut response =
                response(&format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n"));
            assert!(!BodyReader::new(&response).is_complete(b"Hell"), "{status}");
            assert!(BodyReader::new(&response).is_complete(b"Hello"), "{status}");
            http::keep_body(&mut response, b"Hello");
            assert_eq!(response.body(), b"Hello", "{status}");
        }
    }

    #[test]
    fn the_peer_sends_a_coding_that_we_do_not_know_and_the_body_goes_on_to_the_end() {
        for headers in
            ["Transfer-Encoding: gzip\r\n", "Transfer-Encoding:\r\nContent-Length: 2\r\n"]
        {
            assert_eq!(kept(headers, b"Hello"), (b"Hello".to_vec(), false), "{headers:?}");
        }
    }

    #[test]
    fn the_peer_sends_exactly_64_kib_and_that_is_all_that_is_kept() {
        let most = vec![b'x'; MAX_BODY];
        for headers in ["", "Content-Length: 1000000\r\n"] {
            assert!(kept(headers, &most) == (most.clone(), true), "{headers:?}");
        }
    }

    #[test]
    fn the_peer_never_ends_the_size_of_a_chunk_and_we_stop_after_1024_bytes() {
        for (len, complete) in [(1_023, false), (1_024, false), (1_025, true)] {
            let line = [b"5;", &vec![b'a'; len - 2][..]].concat();
            assert_eq!(kept(CHUNKED, &line), (vec![], complete), "{len}");
            let after = [b"2\r\nok\r\n", &line[..]].concat();
            assert_eq!(kept(CHUNKED, &after), (b"ok".to_vec(), complete), "{len}");
        }
    }
}

mod rfc_9110_section_5_fields {
    use landline::proto::http::{is_field_value, is_secret, is_token};

    #[test]
    fn a_name_is_a_token() {
        let separators = b"()<>@,;:\\\"/[]?={} \t";
        for byte in 0..=127u8 {
            let token = !byte.is_ascii_control() && !separators.contains(&byte);
            for name in [vec![byte], vec![b'a', byte], vec![byte, b'a']] {
                assert_eq!(is_token(std::str::from_utf8(&name).unwrap()), token, "{byte:#x}");
            }
        }
        assert!(!is_token("") && !is_token("é"));
    }

    #[test]
    fn a_value_has_no_control_character_but_tab() {
        for byte in 0..=127u8 {
            let fine = byte == b'\t' || !byte.is_ascii_control();
            assert_eq!(is_field_value(&format!("a{}b", char::from(byte))), fine, "{byte:#x}");
        }
        assert!(is_field_value("") && is_field_value("é"));
    }

    #[test]
    fn secrets_are_known_in_any_case() {
        for name in ["Cookie", "SET-COOKIE", "authorization", "Proxy-Authorization"] {
            assert!(is_secret(name));
        }
        for name in
            ["Location", "Content-Location", "Refresh", "Link", "X-Token", "Sec-WebSocket-Protocol"]
        {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("Server") && !is_secret("retry-after"));
    }
}

mod what_the_errors_say {
    use super::*;

    #[test]
    fn a_mismatch_names_what_does_not_match() {
        for (mismatch, shown) in [
            (Mismatch::Version, "the 101 is not HTTP/1.1"),
            (Mismatch::Upgrade, "Upgrade is missing, repeated, or not \"websocket\""),
            (Mismatch::Connection, "Connection does not say Upgrade"),
            (Mismatch::Accept, "Sec-WebSocket-Accept is missing, repeated, or wrong"),
            (
                Mismatch::Extension,
                "the server uses an extension that was not offered, or the header is malformed",
            ),
            (
                Mismatch::Subprotocol,
                "Sec-WebSocket-Protocol is repeated, or names a subprotocol that was not offered",
            ),
        ] {
            assert_eq!(mismatch.to_string(), shown);
        }
    }

    #[test]
    fn a_bad_head_is_told_with_the_limit_that_it_broke() {
        for (error, shown) in [
            (HeadError::NotHttp, "the answer is not HTTP (is it a TLS port, or another service?)"),
            (HeadError::BadStatusLine, "the status line is malformed"),
            (HeadError::BadHeader, "a header line is malformed"),
            (HeadError::BadLineEnd, "a line does not end in CR LF"),
            (HeadError::LineTooLong, "a header line is longer than 16 KiB"),
            (HeadError::TooManyLines, "the response head has more than 128 header lines"),
            (HeadError::HeadTooLarge, "the response head is larger than 64 KiB"),
        ] {
            assert_eq!(error.to_string(), shown);
        }
    }

    #[test]
    fn a_response_is_shown_without_its_secrets_and_without_its_body() {
        let mut refusal = response("HTTP/1.1 403 No\r\nServer: x\r\nSet-Cookie: a=b\r\n\r\n");
        http::keep_body(&mut refusal, b"secret");
        assert_eq!(
            format!("{refusal:?}"),
            "Response { status: 403, reason: \"No\", \
             headers: {\"Server\": \"x\", \"Set-Cookie\": \"***\"}, body: 6 bytes }"
        );
    }
}
