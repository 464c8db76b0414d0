//! Tells what is known of a TLS session.

use std::fmt;

use rustls::client::UnbufferedClientConnection;
use rustls::{HandshakeKind, ProtocolVersion};

/// Tells which version, cipher suite and protocol were agreed on in TLS with the server, and which
/// certificates it sent. [`WebSocket::tls_info`] and [`Sender::tls_info`] give it.
///
/// [`WebSocket::tls_info`]: crate::WebSocket::tls_info
/// [`Sender::tls_info`]: crate::Sender::tls_info
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// if let Some(tls) = ws.tls_info() {
///     println!("{} with {}", tls.version, tls.cipher_suite);
///     println!("a chain of {} certificates", tls.peer_certificates.len());
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of the protocol: `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The name of the cipher suite in the registry of IANA: `TLS_AES_128_GCM_SHA256`, for
    /// example.
    pub cipher_suite: String,
    /// The protocol that was agreed on by ALPN, mostly `http/1.1`. `None` if the server chose none.
    pub alpn: Option<Vec<u8>>,
    /// The certificates that the server sent, in DER, its own first. For a session that was resumed
    /// they are those of its first handshake.
    pub peer_certificates: Vec<Vec<u8>>,
    /// `true` if the session of an earlier connection was resumed, so that the server sent no
    /// certificate; `false` after a full handshake.
    pub resumed: bool,
}

impl TlsInfo {
    /// Reads it from a session whose handshake is done.
    pub(super) fn of(tls: &UnbufferedClientConnection) -> Self {
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        let name = suite.map_or_else(String::new, |suite| match suite.as_str() {
            // rustls writes `TLS13_AES_128_GCM_SHA256`.
            Some(name) => name.replacen("TLS13_", "TLS_", 1),
            None => format!("{:#06x}", u16::from(suite)),
        });
        let certificates = tls.peer_certificates().unwrap_or_default();
        Self {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                // rustls speaks no other.
                _ => "TLSv1.2",
            },
            cipher_suite: name,
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: certificates.iter().map(|der| der.to_vec()).collect(),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl fmt::Debug for TlsInfo {
    /// Shows the number of the certificates, not their bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alpn = self.alpn.as_ref().map(|alpn| alpn.escape_ascii().to_string());
        f.debug_struct("TlsInfo")
            .field("version", &self.version)
            .field("cipher_suite", &self.cipher_suite)
            .field("alpn", &alpn)
            .field("peer_certificates", &self.peer_certificates.len())
            .field("resumed", &self.resumed)
            .finish()
    }
}
