//! The options of TLS: which certificates are trusted, and what is shown to the server.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, KeyLog, SignatureScheme};

use super::pin::Pins;
#[cfg(feature = "native-roots")]
use super::verifier::Base;
use super::verifier::{Roots, Verify, invalid};
use crate::error::{Error, InvalidInput};
use crate::proto::url::Host;

/// Holds the options of TLS: which certificates are trusted, which names they must have, and what
/// is shown to the server. [`Builder::tls`](crate::Builder::tls) takes it for connections to
/// servers, and `Proxy::tls` for those to `https` proxies.
///
/// The guide [`tls`](crate::guide::tls) has the questions that programs have, and their answers.
///
/// A clone is cheap. All clones share one configuration, which is made at the first connection, so
/// that later connections resume sessions.
///
/// # Examples
///
/// To trust an authority of your own, and to check a name that is not the URL's host:
///
/// ```no_run
/// use landline::Builder;
/// use landline::tls::TlsOptions;
///
/// let tls = TlsOptions::new().ca_pem_file("ca.pem")?.server_name("internal.example");
/// let mut ws = Builder::new().tls(tls).connect("wss://10.1.2.3/feed")?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// To show a client certificate, and to accept TLS 1.3 only:
///
/// ```no_run
/// use landline::Builder;
/// use landline::tls::TlsOptions;
///
/// let tls = TlsOptions::new().client_certificate_files("me.pem", "me.key")?.tls13_only();
/// let mut ws = Builder::new().tls(tls).connect("wss://example.com/")?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// # Trust
///
/// | | Mozilla's roots | the system's roots | certificates of yours |
/// |---|---|---|---|
/// | [`new`](Self::new), the default | yes | | |
/// | [`ca_pem`](Self::ca_pem), [`ca_pem_file`](Self::ca_pem_file) | | | yes |
/// | [`add_ca_pem`](Self::add_ca_pem) | as before | as before | yes, too |
/// | [`add_ca_pem_file`](Self::add_ca_pem_file) | as before | as before | yes, too |
/// | `native_roots` (feature `native-roots`) | | yes | |
/// | `add_native_roots` (feature `native-roots`) | as before | yes, too | as before |
///
/// The system's roots are those of the operating system.
///
/// A server is trusted if its certificate leads to the certificate of an authority among these, or
/// if its certificate *is* one of yours, byte for byte. The name and the dates must be right in
/// both cases. So a self-signed certificate can be given as it is.
///
/// Only those of your certificates are authorities that have CA:TRUE (RFC 5280 section 4.2.1.9).
/// The key of an authority can issue certificates for any name. `openssl req -x509` makes one with
/// CA:TRUE, unless it is told `-addext basicConstraints=critical,CA:FALSE`. No other certificate of
/// yours vouches for another one. Neither does one of version 1 of X.509, nor one
/// with a critical extension that is not understood.
///
/// The roots, the pins and the `danger_` switches hold for every server that one connection leads
/// to, also for another host after a redirect.
///
/// # Limits
///
/// Revocation (CRL, OCSP) is not checked. The cryptography is that of *ring*, unless the program
/// installs or [gives](Self::crypto_provider) another provider. With *ring*:
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
/// If a server needs more, there are two ways. Give another
/// [`crypto_provider`](Self::crypto_provider): `aws-lc-rs`, for example, knows P-521 and ECDSA with
/// SHA-512. Or speak TLS by another library in a program of its own, such as stunnel, and give
/// [`Builder::connect_over`](crate::Builder::connect_over) a plain connection to it. A stream that
/// reads and writes by one `&mut self`, as those of most TLS libraries do, cannot be a
/// [`Stream`](crate::stream::Stream) directly. In a test,
/// [`danger_accept_any_certificate`](Self::danger_accept_any_certificate) accepts any certificate
/// that a server shows. (By TLS 1.2 a server with a key on P-521 shows none, because that curve is
/// not offered.)
#[derive(Clone, Default)]
pub struct TlsOptions {
    settings: Settings,
    /// Made at the first connection.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
    /// The configuration was given by the caller, so no setting changes it. The function takes its
    /// client certificate away.
    pub(super) given: Option<Without>,
}

type Without = fn(&Arc<ClientConfig>) -> Arc<ClientConfig>;

#[derive(Clone, Default)]
struct Settings {
    roots: Roots,
    client: Option<Client>,
    server_name: Option<String>,
    tls13_only: bool,
    key_log: Option<fn() -> Arc<dyn KeyLog>>,
    verify: Verify,
    pins: Option<Pins>,
    provider: Option<Arc<CryptoProvider>>,
}

/// The client certificate, and the function that loads its key. A program that has no client
/// certificate does not name that function, so the code for private keys is left out of it.
#[derive(Clone)]
struct Client {
    certificate: Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    load: fn(&Self, Option<&CryptoProvider>) -> Result<CertifiedKey, InvalidInput>,
}

impl TlsOptions {
    /// Returns the defaults: Mozilla's roots, TLS 1.2 and 1.3, the URL's host as server name.
    /// Without the features `mozilla-roots` and `tls12` there are no roots, and 1.3 only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the defaults, of which all clones share the sessions.
    pub(crate) fn shared() -> Self {
        static SHARED: OnceLock<TlsOptions> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Uses a configuration of your own. All other options except
    /// [`server_name`](Self::server_name) have no effect then, and
    /// [`pin_public_key`](Self::pin_public_key) fails. WebSocket needs HTTP/1.1, so offer no other
    /// ALPN protocol.
    ///
    /// The configuration is that of rustls 0.23, which this crate does not export: add it to the
    /// dependencies of your program.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use landline::Builder;
    /// use landline::tls::TlsOptions;
    /// use rustls::crypto::ring;
    /// use rustls::{ClientConfig, RootCertStore};
    ///
    /// let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let builder = Builder::new().tls(TlsOptions::from_rustls(Arc::new(config)));
    /// # Ok::<(), rustls::Error>(())
    /// ```
    ///
    /// To let the platform verify certificates, with its own rules, use the crate
    /// rustls-platform-verifier 0.7. On Linux it trusts what `native_roots` trusts. Windows, macOS
    /// and Android have verifiers of their own.
    ///
    /// ```text
    /// use rustls_platform_verifier::BuilderVerifierExt;
    ///
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_platform_verifier()?
    ///     .with_no_client_auth();
    /// ```
    #[must_use]
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        Self {
            settings: Settings::default(),
            config: Arc::new(OnceLock::from(config)),
            given: Some(without_client_certificate),
        }
    }

    /// Trusts the certificates in `pem` *instead of* Mozilla's roots or those of the operating
    /// system. Another call adds more. After a redirect to another host they are trusted too.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if `pem` holds no certificate, or a malformed one.
    pub fn ca_pem(self, pem: &[u8]) -> Result<Self, Error> {
        let found = certificates(pem)?;
        Ok(self.change(|settings| settings.roots.replace(found)))
    }

    /// Does the same as [`ca_pem`](Self::ca_pem) with the contents of a file.
    ///
    /// # Errors
    /// Also [`InvalidInput::Tls`] if the file cannot be read.
    pub fn ca_pem_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.ca_pem(&read(path.as_ref())?)
    }

    /// Trusts the certificates in `pem` *besides* all others that are trusted, for example
    /// Mozilla's roots. The order of the calls does not matter. After a redirect to another host
    /// they are trusted too.
    ///
    /// To leave out the feature `mozilla-roots` is not a policy, because another crate of the
    /// program may switch it on: call [`ca_pem`](Self::ca_pem) to trust nobody else.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if `pem` holds no certificate, or a malformed one.
    pub fn add_ca_pem(self, pem: &[u8]) -> Result<Self, Error> {
        let found = certificates(pem)?;
        Ok(self.change(|settings| settings.roots.add(found)))
    }

    /// Does the same as [`add_ca_pem`](Self::add_ca_pem) with the contents of a file.
    ///
    /// # Errors
    /// Also [`InvalidInput::Tls`] if the file cannot be read.
    pub fn add_ca_pem_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.add_ca_pem(&read(path.as_ref())?)
    }

    /// Trusts the roots of the operating system *instead of* Mozilla's and of those that were given
    /// to [`ca_pem`](Self::ca_pem) before. If the variable `SSL_CERT_FILE` or
    /// `SSL_CERT_DIR` is set, the roots that it names are taken instead.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn native_roots(self) -> Self {
        self.change(|settings| settings.roots.base = Base::Native)
    }

    /// Trusts the roots of the operating system *besides* all others that are trusted. It is no
    /// error if the system has none. The order of the calls does not matter.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn add_native_roots(self) -> Self {
        self.change(|settings| settings.roots.native_too = true)
    }

    /// Shows a certificate to servers that ask for one. `chain` holds the certificates, the
    /// client's own first, and `key` its private key (PKCS #8, PKCS #1 or SEC 1). Both are PEM.
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] if either is missing or malformed, or if the key is encrypted: decrypt
    /// it first. Connecting fails with the same error if the key does not belong to the
    /// certificate.
    pub fn client_certificate_pem(self, chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| invalid(&format!("private key: {error}")))?;
        let client = Client { certificate: Arc::new((chain, key)), load: Client::load };
        Ok(self.change(|settings| settings.client = Some(client)))
    }

    /// Does the same as [`client_certificate_pem`](Self::client_certificate_pem) with the contents
    /// of two files.
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

    /// Sets the name that the server's certificate must have: a DNS name or an IP address. A DNS
    /// name is also sent to the server (SNI). Default: the URL's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.server_name = Some(name.into());
        self
    }

    /// Accepts the server only if its own certificate has this public key, besides all else that is
    /// checked. Another call adds another key, and one of them must match, so that a server can
    /// change its key. Default: any key.
    ///
    /// A pin is `sha256//` and the base64 of the SHA-256 of the key, as curl takes it
    /// (`--pinnedpubkey`); several may stand between semicolons. The key is hashed as it stands in
    /// the certificate, the `SubjectPublicKeyInfo` in DER. OpenSSL computes the base64:
    ///
    /// ```sh
    /// openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der |
    ///     openssl dgst -sha256 -binary | openssl base64
    /// ```
    ///
    /// Connecting to a server with another key fails with
    /// [`TlsProblem::PinMismatch`](crate::error::TlsProblem::PinMismatch), and the text of the
    /// error has the pin of that key. No request is sent, and no client certificate.
    ///
    /// The pins hold for every server that one connection leads to, also for another host after a
    /// redirect. So pin the keys of both, or follow no redirect
    /// ([`max_redirects`](crate::Builder::max_redirects)). With an `https` proxy, those of its own
    /// options hold.
    ///
    /// With [`danger_accept_any_certificate`](Self::danger_accept_any_certificate) the pins alone
    /// say who is trusted, for example a device with a self-signed certificate. The server must
    /// still prove, by a signature, that it has the key, and the [limits](Self#limits) of the
    /// cryptography hold.
    ///
    /// Pins have no effect on a `ws://` URL: the server shows no certificate.
    ///
    /// # Examples
    ///
    /// ```
    /// use landline::tls::TlsOptions;
    ///
    /// let tls = TlsOptions::new()
    ///     .pin_public_key("sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE=")?
    ///     // The key that the server will have next.
    ///     .pin_public_key("sha256//r8udi/Mxd6pLO7y7hZyUMWq8YnFnIWXCqeHsTDRqy8o=")?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput::Tls`] for anything else than pins, and for the options of
    /// [`from_rustls`](Self::from_rustls), whose verifier cannot be extended: check the key there.
    /// Connecting fails with the same error if the [`crypto_provider`](Self::crypto_provider) has
    /// no cipher suite of TLS 1.3 with SHA-256.
    pub fn pin_public_key(self, pin: &str) -> Result<Self, Error> {
        if self.given.is_some() {
            let why = "a given `ClientConfig` cannot be pinned: check the key in its verifier";
            return Err(invalid(why).into());
        }
        let more = Pins::parse(pin)?;
        Ok(self.change(|settings| match &mut settings.pins {
            Some(pins) => pins.extend(more),
            pins => *pins = Some(more),
        }))
    }

    /// Sets the cryptography: a provider for rustls 0.23, such as those of `aws-lc-rs`, or one that
    /// FIPS allows. Default: the provider that the program has installed for its process
    /// ([`CryptoProvider::install_default`]); if there is none, that of *ring*. If the feature
    /// `ring` is off too, connecting fails with [`InvalidInput::Tls`].
    ///
    /// Install a provider before the first connection. These options and their clones then make
    /// their configuration, and keep its provider. landline never installs one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use landline::tls::TlsOptions;
    ///
    /// // For example, `rustls::crypto::aws_lc_rs::default_provider()`.
    /// let provider = rustls::crypto::ring::default_provider();
    /// let tls = TlsOptions::new().crypto_provider(Arc::new(provider));
    /// ```
    #[must_use]
    pub fn crypto_provider(self, provider: Arc<CryptoProvider>) -> Self {
        self.change(|settings| settings.provider = Some(provider))
    }

    /// Refuses TLS 1.2. Default: TLS 1.2 and 1.3 are spoken, or 1.3 only without the feature
    /// `tls12`.
    ///
    /// To leave out the feature `tls12` is not a policy, because another crate of the program may
    /// switch it on: call this if TLS 1.2 must not be spoken.
    #[must_use]
    pub fn tls13_only(self) -> Self {
        self.change(|settings| settings.tls13_only = true)
    }

    /// Appends the secrets of each session to the file that the variable `SSLKEYLOGFILE` names, so
    /// that Wireshark can decrypt it. The variable alone does nothing. Default: off.
    #[must_use]
    pub fn key_log(self) -> Self {
        self.change(|settings| settings.key_log = Some(|| Arc::new(rustls::KeyLogFile::new())))
    }

    /// Accepts every certificate. Neither its name, dates, issuer and form are checked, nor the
    /// signature by which the server proves that it has the key.
    ///
    /// **Nobody is authenticated.** The connection is encrypted, but an attacker in between can
    /// read and change everything. The same holds after a redirect to another host. A client
    /// certificate is shown to anyone who answers. The roots have no effect.
    ///
    /// Only [`pin_public_key`](Self::pin_public_key) changes that: a server must have a pinned key,
    /// and prove that it has it.
    #[must_use]
    pub fn danger_accept_any_certificate(self) -> Self {
        self.change(|settings| settings.verify = Verify::Nothing)
    }

    /// Accepts a certificate of any name, if it is otherwise valid. So an attacker in between needs
    /// only some certificate that the roots trust. With Mozilla's roots, everybody who has a domain
    /// can get one. The same holds after a redirect to another host.
    #[must_use]
    pub fn danger_accept_any_name(self) -> Self {
        self.change(|settings| settings.verify = Verify::NotTheName)
    }

    /// Changes a setting, and leaves the configuration that the clones share.
    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if self.given.is_some() {
            return self;
        }
        change(&mut self.settings);
        self.config = Arc::default();
        self
    }

    /// Returns the options for a server that the caller does not know, because a redirect led to
    /// it: without client certificate, without the sessions in which one was shown, and with the
    /// URL's host as server name.
    pub(crate) fn for_stranger(&self) -> Self {
        let mut options = self.clone();
        options.settings.server_name = None;
        if let (Some(without), Some(config)) = (self.given, self.config.get()) {
            options.config = Arc::new(OnceLock::from(without(config)));
        } else if options.settings.client.take().is_some() {
            options.config = Arc::default();
        }
        options
    }

    /// Returns the names of the roots that are trusted, for the text of an error.
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

    pub(super) fn name(&self, host: &Host) -> Result<ServerName<'static>, InvalidInput> {
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
            .field("pinned", &self.settings.pins.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn build(&self) -> Result<ClientConfig, InvalidInput> {
        let provider = match &self.provider {
            Some(provider) => provider.clone(),
            None => Arc::new(CryptoProvider { key_provider: &NoKeys, ..default_provider()? }),
        };
        let tls13 = [&rustls::version::TLS13];
        let versions = if self.tls13_only { &tls13[..] } else { rustls::ALL_VERSIONS };
        let failed = |error: rustls::Error| invalid(&error.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(failed)?;
        let mut verifier = self.roots.verifier(self.verify, &provider)?;
        if let Some(pins) = &self.pins {
            verifier = (pins.add_to)(pins, verifier, &provider)?;
        }
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.client {
            Some(client) => {
                let client = (client.load)(client, self.provider.as_deref())?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if let Some(key_log) = self.key_log {
            config.key_log = key_log();
        }
        Ok(config)
    }
}

/// Returns the provider that is used if the caller gives none: the one that the program has
/// installed for its process, or else that of *ring*. Any crate of the program may switch the
/// feature `ring` on, so it must not replace what the program has chosen.
fn default_provider() -> Result<CryptoProvider, InvalidInput> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok((**installed).clone());
    }
    #[cfg(feature = "ring")]
    {
        Ok(rustls::crypto::ring::default_provider())
    }
    #[cfg(not(feature = "ring"))]
    {
        Err(invalid(
            "there is no crypto provider: enable the feature \"ring\", give one to \
             `TlsOptions::crypto_provider`, or install one by `CryptoProvider::install_default`",
        ))
    }
}

/// Loads no private key. The provider of a connection has it; see [`Client`].
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("keys are loaded by `client_certificate_pem` only".into()))
    }
}

impl Client {
    /// Returns the client certificate and its key, by this provider or the default one. The
    /// certificate is not parsed, because rustls understands only version 3 of X.509, and the
    /// server may accept others.
    fn load(&self, provider: Option<&CryptoProvider>) -> Result<CertifiedKey, InvalidInput> {
        let (chain, key) = &*self.certificate;
        let keys = match provider {
            Some(provider) => provider.key_provider,
            None => default_provider()?.key_provider,
        };
        let key = keys.load_private_key(key.clone_key());
        let key = key.map_err(|error| invalid(&format!("private key: {error}")))?;
        if let (Some(public), Some(leaf)) = (key.public_key(), chain.first()) {
            // A certificate holds the public key in exactly this form.
            if !leaf.windows(public.len()).any(|part| part == &*public) {
                return Err(invalid("the private key does not belong to the client certificate"));
            }
        }
        Ok(CertifiedKey::new(chain.clone(), key))
    }
}

/// Returns the configuration without its client certificate, and without the sessions in which that
/// was shown.
fn without_client_certificate(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    if !config.client_auth_cert_resolver.has_certs() {
        return config.clone();
    }
    let mut config = (**config).clone();
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Shows no certificate to any server.
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

/// Returns whether a certificate can name the host.
pub(crate) fn can_name(host: &Host) -> bool {
    server_name(host).is_some()
}

/// Returns the host as certificates name it; `None` for a host of a URL that they cannot name.
fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        // In a certificate the name has no dot at its end.
        Host::Name(name) => {
            ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned()).ok()
        }
        Host::Address(address) => Some(ServerName::from(*address)),
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
