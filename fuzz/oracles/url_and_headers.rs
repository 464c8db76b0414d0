//! Any URL and options of a caller: they are refused, or exactly one request is sent, with the
//! lines that were asked for and no others. `Debug` shows no value.
//!
//! Input: strings, cut at zero bytes: URL, header name, header value, subprotocol, origin, cookie.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landline::stream::Stream;
use landline::{Builder, Error};

/// A stream that keeps what is written, and is at its end for a reader.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl Stream for Recorder {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\0');
    let mut part = || parts.next().unwrap_or_default();
    let (url, name, value) = (part(), part(), part());
    let (subprotocol, origin, cookie) = (part(), part(), part());

    let options = |value: &str, subprotocol: &str, origin: &str, cookie: &str| {
        let mut builder = Builder::new().open_timeout(Duration::from_secs(5));
        if !name.is_empty() {
            builder = builder.header(name, value);
        }
        if !subprotocol.is_empty() {
            builder = builder.subprotocols([subprotocol]);
        }
        if !origin.is_empty() {
            builder = builder.origin(origin);
        }
        if !cookie.is_empty() {
            builder = builder.cookie(cookie);
        }
        builder
    };
    let builder = options(value, subprotocol, origin, cookie);
    // Other values must not change the output. Looking for a value in it proves nothing: the name
    // of the header is there too, and may contain the value.
    let other = |text: &str| if text.is_empty() { "" } else { "other" };
    let others = options("other", other(subprotocol), other(origin), other(cookie));
    assert_eq!(format!("{builder:?}"), format!("{others:?}"), "`Debug` shows a value");

    let recorder = Recorder::default();
    let result = builder.connect_over(url, recorder.clone());
    let written = recorder.0.lock().unwrap().clone();
    // The error only: the request has a random key.
    super::note(&result);
    match result {
        Err(Error::InvalidInput(_)) => {
            assert!(written.is_empty(), "something was sent though the input is refused");
            return;
        }
        Err(Error::Handshake(_)) => {} // The stream ends; the request is what counts.
        Err(Error::Tls(_)) => return,  // A ClientHello was written.
        other => panic!("not possible: {other:?}"),
    }

    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(&written);
    assert_eq!(parsed, Ok(httparse::Status::Complete(written.len())), "exactly one request");
    assert_eq!(request.method, Some("GET"));
    let path = request.path.unwrap();
    assert!(path.starts_with('/') && !path.contains('#'), "{path:?}");
    let name_lower = name.to_ascii_lowercase();
    let mut asked =
        vec!["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"];
    let given = [(subprotocol, "sec-websocket-protocol"), (origin, "origin"), (cookie, "cookie")];
    asked.extend(given.into_iter().filter(|(text, _)| !text.is_empty()).map(|(_, name)| name));
    asked.push("user-agent");
    if url.contains('@') {
        asked.push("authorization");
    }
    let mut sent: Vec<_> =
        request.headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
    sent.sort_unstable();
    super::note(&(path, &sent));
    for name in &sent {
        let ours = asked.contains(&name.as_str());
        assert!(ours || *name == name_lower, "{name:?} was injected");
    }
    for single in ["host", "origin", "user-agent", "cookie", "sec-websocket-key", "authorization"] {
        assert!(sent.iter().filter(|name| *name == single).count() <= 1, "{single} is doubled");
    }
}
