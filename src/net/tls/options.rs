//! How TLS is spoken, and whom it trusts.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, SignatureScheme};
use url::Host;

#[cfg(feature = "native-roots")]
use super::verifier::Base;
use super::verifier::{Roots, Verify, invalid};
use crate::error::{Error, InvalidInput};

/// How TLS is spoken and whom it trusts. Cheap to clone; clones share one configuration, made
/// at the first connection, so that later connections resume its sessions.
///
/// ```no_run
/// use landline::Builder;
/// use landline::tls::TlsOptions;
/// let tls = TlsOptions::new().ca_pem_file("ca.pem")?.server_name("internal.example");
/// let ws = Builder::new().tls(tls).connect("wss://10.1.2.3/feed")?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// # Whom it trusts
///
/// | | Mozilla's roots | those of the operating system | certificates of yours |
/// |---|---|---|---|
/// | [`new`](Self::new), the default | yes | | |
/// | [`ca_pem`](Self::ca_pem), [`ca_pem_file`](Self::ca_pem_file) | | | yes |
/// | [`add_ca_pem`](Self::add_ca_pem), [`add_ca_pem_file`](Self::add_ca_pem_file) | as before | as before | yes, too |
/// | `native_roots` (feature `native-roots`) | | yes | |
/// | `add_native_roots` (feature `native-roots`) | as before | yes, too | as before |
///
/// A server is trusted if its certificate leads to one of these, or *is* one of yours, byte for
/// byte: a self-signed certificate such as `openssl req -x509` makes can be given as it is. Name
/// and dates must be right either way.
///
/// Roots and the `danger_` switches hold for every server that one connection leads to: a redirect
/// takes them along to another host.
///
/// # What it cannot do
///
/// The cryptography is *ring*'s:
///
/// * TLS 1.3 and 1.2, nothing older. Of TLS 1.2 only ECDHE with AES-GCM or ChaCha20-Poly1305: a
///   server that knows only CBC suites, or only RSA or DHE key exchange, ends the handshake with
///   the alert `HandshakeFailure`.
/// * Keys on P-256, P-384, Ed25519, and RSA of 2048 to 8192 bits. Not P-521, not Ed448, not RSA of
///   1024 bits.
/// * Certificates signed by ECDSA with SHA-256 or SHA-384, Ed25519, or RSA with SHA-256, SHA-384 or
///   SHA-512. Not ECDSA with SHA-512 (also on P-256), not SHA-1.
/// * RSA-PSS only with a salt as long as the hash.
/// * X.509 version 3, with the names in `subjectAltName`: the common name is not looked at.
///
/// The way out is a `ClientConfig` with another crypto provider
/// ([`from_rustls`](Self::from_rustls)), `aws-lc-rs` for example, which knows P-521 and ECDSA with
/// SHA-512; or a stream of your own over another TLS library
/// ([`Builder::connect_over`](crate::Builder::connect_over)). In a test
/// [`danger_accept_any_certificate`](Self::danger_accept_any_certificate) takes any certificate
/// that a server shows (one with a key on P-521 shows none by TLS 1.2, because that curve is not
/// offered).
#[derive(Clone, Default)]
pub struct TlsOptions {
    settings: Settings,
    /// Made at the first connection.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
    /// It was given, and stays as it is.
    pub(super) given: bool,
}

#[derive(Clone, Default)]
struct Settings {
    roots: Roots,
    client: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    server_name: Option<String>,
    tls13_only: bool,
    key_log: bool,
    verify: Verify,
}

impl TlsOptions {
    /// Mozilla's roots, TLS 1.2 and 1.3, the URL's host as server name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The defaults, made once, so that sessions are resumed without further ado.
    pub(crate) fn shared() -> Self {
        static SHARED: OnceLock<TlsOptions> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// A configuration of your own; all other options but [`server_name`](Self::server_name) are
    /// then of no effect. WebSocket needs HTTP/1.1, so offer no other ALPN protocol.
    #[must_use]
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        Self {
            settings: Settings::default(),
            config: Arc::new(OnceLock::from(config)),
            given: true,
        }
    }

    /// Trusts these certificates *instead of* Mozilla's roots or the operating system's: PEM, one
    /// or several. Called again, it adds. A redirect to another host takes them along.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if there is no certificate in it, or a malformed one.
    pub fn ca_pem(self, pem: &[u8]) -> Result<Self, Error> {
        let found = certificates(pem)?;
        Ok(self.change(|settings| settings.roots.replace(found)))
    }

    /// As [`ca_pem`](Self::ca_pem), from a file.
    ///
    /// # Errors
    /// Also [`InvalidInput::Tls`] if the file cannot be read.
    pub fn ca_pem_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.ca_pem(&read(path.as_ref())?)
    }

    /// Trusts these certificates *besides* all others that are trusted, Mozilla's roots for
    /// example: PEM, one or several. The order of the calls does not matter. A redirect to another
    /// host takes them along.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if there is no certificate in it, or a malformed one.
    pub fn add_ca_pem(self, pem: &[u8]) -> Result<Self, Error> {
        let found = certificates(pem)?;
        Ok(self.change(|settings| settings.roots.added.extend(found)))
    }

    /// As [`add_ca_pem`](Self::add_ca_pem), from a file.
    ///
    /// # Errors
    /// Also [`InvalidInput::Tls`] if the file cannot be read.
    pub fn add_ca_pem_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.add_ca_pem(&read(path.as_ref())?)
    }

    /// Trusts what the operating system trusts *instead of* Mozilla's roots and of what was given
    /// to [`ca_pem`](Self::ca_pem) before; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace that.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn native_roots(self) -> Self {
        self.change(|settings| settings.roots.base = Base::Native)
    }

    /// Trusts what the operating system trusts *besides* all others that are trusted. That there is
    /// nothing is no error. The order of the calls does not matter.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn add_native_roots(self) -> Self {
        self.change(|settings| settings.roots.native_too = true)
    }

    /// Shows this certificate to servers that ask for one: the chain, leaf first, and its private
    /// key (PKCS #8, PKCS #1 or SEC 1), both PEM.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if either is missing or malformed. An encrypted key is refused:
    /// decrypt it first. Connecting fails with it if the two do not belong together.
    pub fn client_certificate_pem(self, chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| invalid(&format!("private key: {error}")))?;
        Ok(self.change(|settings| settings.client = Some(Arc::new((chain, key)))))
    }

    /// As [`client_certificate_pem`](Self::client_certificate_pem), from files.
    ///
    /// # Errors
    /// Also [`InvalidInput::Tls`] if a file cannot be read.
    pub fn client_certificate_files(
        self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        self.client_certificate_pem(&read(chain.as_ref())?, &read(key.as_ref())?)
    }

    /// The name that is sent (SNI) and that the certificate must have, instead of the URL's host:
    /// a DNS name or an IP address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.server_name = Some(name.into());
        self
    }

    /// Refuses TLS 1.2. Default: 1.2 and 1.3.
    #[must_use]
    pub fn tls13_only(self) -> Self {
        self.change(|settings| settings.tls13_only = true)
    }

    /// Appends the session's secrets to the file that `SSLKEYLOGFILE` names, for Wireshark. The
    /// variable alone does nothing. Default: off.
    #[must_use]
    pub fn key_log(self) -> Self {
        self.change(|settings| settings.key_log = true)
    }

    /// Accepts whatever a server shows: no name, date, issuer or form of its certificate is
    /// checked, and neither is the signature by which it proves to have the key.
    ///
    /// **Nobody is authenticated.** The connection is encrypted, but whoever sits in between can
    /// read and change everything. A redirect to another host takes this along, and a client
    /// certificate is shown to whoever answers. The roots are of no effect.
    #[must_use]
    pub fn danger_accept_any_certificate(self) -> Self {
        self.change(|settings| settings.verify = Verify::Nothing)
    }

    /// Accepts a certificate of any name, if it is otherwise valid: whoever has one that the roots
    /// trust can sit in between. With Mozilla's roots that is everybody who has a domain. A
    /// redirect to another host takes this along.
    #[must_use]
    pub fn danger_accept_any_name(self) -> Self {
        self.change(|settings| settings.verify = Verify::NotTheName)
    }

    /// A changed configuration is not the one that the clones share.
    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if self.given {
            return self;
        }
        change(&mut self.settings);
        self.config = Arc::default();
        self
    }

    /// For a server that the caller does not know, because a redirect led to it: no client
    /// certificate, no session that one was shown in, and the name is that of the URL.
    pub(crate) fn for_stranger(&self) -> Self {
        let mut options = self.clone();
        options.settings.server_name = None;
        if let Some(config) = self.config.get().filter(|_| self.given) {
            if config.client_auth_cert_resolver.has_certs() {
                let mut config = (**config).clone();
                config.client_auth_cert_resolver = Arc::new(NoCertificate);
                config.resumption = Resumption::disabled();
                options.config = Arc::new(OnceLock::from(Arc::new(config)));
            }
        } else if options.settings.client.take().is_some() {
            options.config = Arc::default();
        }
        options
    }

    /// Names the roots that are trusted, for an error.
    pub(super) fn describe_roots(&self) -> String {
        self.settings.roots.describe()
    }

    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, InvalidInput> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(self.settings.build()?);
        Ok(self.config.get_or_init(|| config).clone())
    }

    pub(super) fn name(&self, host: &Host<String>) -> Result<ServerName<'static>, InvalidInput> {
        let name = match &self.settings.server_name {
            Some(name) => ServerName::try_from(name.clone()).ok(),
            None => server_name(host),
        };
        name.ok_or_else(|| invalid("the server name is neither a DNS name nor an IP address"))
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("server_name", &self.settings.server_name)
            .field("client_certificate", &self.settings.client.is_some())
            .field("verify", &self.settings.verify)
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn build(&self) -> Result<ClientConfig, InvalidInput> {
        let provider = Arc::new(ring::default_provider());
        let tls13 = [&rustls::version::TLS13];
        let versions = if self.tls13_only { &tls13[..] } else { rustls::ALL_VERSIONS };
        let failed = |error: rustls::Error| invalid(&error.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(failed)?;
        let verifier = self.roots.verifier(self.verify, &provider)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.client {
            Some(client) => {
                let (chain, key) = &**client;
                let client = client_key(chain, key, &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.key_log {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        Ok(config)
    }
}

/// The certificate that we show, and its key. What the certificate says is the server's matter: it
/// is not read here, because rustls understands only version 3 of X.509.
fn client_key(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, InvalidInput> {
    let key = provider.key_provider.load_private_key(key.clone_key());
    let key = key.map_err(|error| invalid(&format!("private key: {error}")))?;
    if let (Some(public), Some(leaf)) = (key.public_key(), chain.first()) {
        // A certificate holds the public key in just this form.
        if !leaf.windows(public.len()).any(|part| part == &*public) {
            return Err(invalid("the private key does not belong to the client certificate"));
        }
    }
    Ok(CertifiedKey::new(chain.to_vec(), key))
}

/// Shows no certificate to anybody.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Whether certificates can name the host.
pub(crate) fn can_name(host: &Host<String>) -> bool {
    server_name(host).is_some()
}

/// The host as certificates name it; not every host of a URL is one that they can.
fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        // The certificate has the name without the dot of the root.
        Host::Domain(name) => {
            ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned()).ok()
        }
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::V4(*address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::V6(*address))),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidInput> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| invalid(&format!("certificate: {error}")))?;
    if found.is_empty() {
        return Err(invalid("there is no certificate in the PEM"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, InvalidInput> {
    std::fs::read(path).map_err(|error| invalid(&format!("{}: {error}", path.display())))
}
