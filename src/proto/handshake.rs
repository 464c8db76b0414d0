//! Writes the request of the opening handshake (RFC 6455 section 4), and checks the server's
//! answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::deflate::{self, Deflate, DeflateParameters};
use super::error::Mismatch;
use super::http::{self, Response};

/// The text that RFC 6455 section 1.3 appends to the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Tells why an answer of the server opens no connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum NotOpened {
    /// The status is not 101: the server refuses, or redirects.
    Refused,
    /// The status is 101, but a check failed.
    Mismatch(Mismatch),
}

impl From<Mismatch> for NotOpened {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// Holds the key of a handshake: 16 random bytes, new for each request (section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Makes a key of 16 random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(BASE64.encode(random))
    }

    /// Makes the key that a client has sent, of the value of `Sec-WebSocket-Key`. A server needs it
    /// for the [`accept`](Self::accept) of its answer, in a test for example. The value is not
    /// checked, so do not send it in a request.
    #[must_use]
    pub fn from_header(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value of `Sec-WebSocket-Key`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value of `Sec-WebSocket-Accept` that answers the key: the base64 of the SHA-1 of
    /// key and GUID.
    #[must_use]
    pub fn accept(&self) -> String {
        let mut hash = sha1_smol::Sha1::from(&self.0);
        hash.update(GUID.as_bytes());
        BASE64.encode(hash.digest().bytes())
    }
}

/// Returns the bytes of the request (section 4.1). The caller must have checked all parts of it,
/// with [`is_token`](super::http::is_token) and [`is_field_value`](super::http::is_field_value).
#[must_use]
pub fn request(
    resource: &str,
    host: &str,
    key: &Key,
    subprotocols: &[String],
    headers: &[(String, String)],
) -> Vec<u8> {
    let mut head = format!(
        "GET {resource} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
        key.as_str(),
    );
    if !subprotocols.is_empty() {
        head.push_str("Sec-WebSocket-Protocol: ");
        head.push_str(&subprotocols.join(", "));
        head.push_str("\r\n");
    }
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Holds what the client offers: subprotocols and compression.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Offer<'a> {
    /// Subprotocols, the preferred one first.
    pub subprotocols: &'a [String],
    /// permessage-deflate: `None`, which is all that there is without the feature `deflate`, does
    /// not offer it. Put what `proto::deflate::offer` returns into the request as a header.
    pub deflate: Option<&'a Deflate>,
}

/// Holds the parts of an [`Offer`] that the server accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// One of the subprotocols that were offered; `None` if the server chose none.
    pub subprotocol: Option<String>,
    /// The parameters of permessage-deflate; `None` if messages are not compressed.
    pub deflate: Option<DeflateParameters>,
}

impl<'a> Offer<'a> {
    /// Makes an offer of subprotocols, without compression.
    #[must_use]
    pub fn subprotocols(subprotocols: &'a [String]) -> Self {
        Self { subprotocols, ..Self::default() }
    }

    /// Checks the server's answer (section 4.1, its last list), and returns what it accepted.
    ///
    /// # Errors
    /// [`NotOpened::Refused`] if the status is not 101, else the first check that fails.
    pub fn verify(&self, response: &Response, key: &Key) -> Result<Accepted, NotOpened> {
        if response.status() != 101 {
            return Err(NotOpened::Refused);
        }
        verify_upgrade(response, key)?;
        let deflate = self.verify_extensions(response)?;
        Ok(Accepted { subprotocol: self.verify_subprotocol(response)?, deflate })
    }

    fn verify_extensions(
        &self,
        response: &Response,
    ) -> Result<Option<DeflateParameters>, Mismatch> {
        match self.deflate {
            Some(deflate) => {
                deflate::agree(deflate, response.headers().all("Sec-WebSocket-Extensions"))
            }
            None => verify_no_extensions(response).map(|()| None),
        }
    }

    fn verify_subprotocol(&self, response: &Response) -> Result<Option<String>, Mismatch> {
        if response.headers().all("Sec-WebSocket-Protocol").next().is_none() {
            return Ok(None);
        }
        let chosen = only(response, "Sec-WebSocket-Protocol").ok_or(Mismatch::Subprotocol)?;
        let mut offered = self.subprotocols.iter();
        match offered.find(|offered| offered.as_bytes() == chosen) {
            Some(subprotocol) => Ok(Some(subprotocol.clone())),
            None => Err(Mismatch::Subprotocol),
        }
    }
}

fn verify_upgrade(response: &Response, key: &Key) -> Result<(), Mismatch> {
    if http::minor_version(response) != 1 {
        return Err(Mismatch::Version);
    }
    let upgrade = only(response, "Upgrade");
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(Mismatch::Upgrade);
    }
    if !response.headers().has_token("Connection", "Upgrade") {
        return Err(Mismatch::Connection);
    }
    if only(response, "Sec-WebSocket-Accept") != Some(key.accept().as_bytes()) {
        return Err(Mismatch::Accept);
    }
    Ok(())
}

fn verify_no_extensions(response: &Response) -> Result<(), Mismatch> {
    match response.headers().all("Sec-WebSocket-Extensions").next() {
        None => Ok(()),
        Some(_) => Err(Mismatch::Extension),
    }
}

/// Returns the value of a header that is there exactly once.
fn only<'a>(response: &'a Response, name: &str) -> Option<&'a [u8]> {
    let mut values = response.headers().all(name);
    values.next().filter(|_| values.next().is_none())
}
