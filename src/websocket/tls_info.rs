//! Tells users about the TLS session of a connection.

use super::WebSocket;
use super::sender::Sender;
use crate::net::tls::{Session, TlsInfo};

/// With the feature `tls-core`.
impl WebSocket {
    /// Returns what is known of TLS with the server: version, cipher suite, ALPN, certificates.
    /// `None` without TLS, and for a [stream](crate::stream::Stream) that has TLS of its own. TLS
    /// with a proxy does not count.
    ///
    /// It is computed by each call, and nothing is kept for it.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/feed")?;
    /// println!("{:?}", ws.tls_info());
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.sender.tls_info()
    }
}

/// With the feature `tls-core`.
impl Sender {
    /// Returns what is known of TLS with the server; see
    /// [`WebSocket::tls_info`](crate::WebSocket::tls_info).
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.wire.duplex.tls.as_ref().map(Session::info)
    }
}
