//! The scripted server with TLS. Its certificates are made when the tests run.

use std::net::TcpStream;
use std::sync::{Arc, OnceLock};

use landline::tls::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::{Io, Peer, Script, Server, listener, spawn};

/// Is a certificate authority.
pub struct Ca {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// Holds the certificate of a server or a client, and its key.
pub struct Leaf {
    pub pem: String,
    pub key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Ca {
    pub fn new() -> Self {
        let params = authority();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// Returns an authority whose certificate this one signs. `change` may limit it.
    pub fn authority(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// Returns a certificate for these DNS names and addresses.
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Leaf { pem, key_pem, chain: vec![certificate.der().clone()], key }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        roots
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Leaf {
    /// Adds the certificates of these authorities after its own.
    pub fn chain<'a>(mut self, authorities: impl IntoIterator<Item = &'a Ca>) -> Self {
        self.chain.extend(authorities.into_iter().map(|ca| ca.der.clone()));
        self
    }

    /// Returns the certificates that the server sends, in DER.
    pub fn der(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|der| der.to_vec()).collect()
    }
}

/// Returns the authority of all tests that need no special one.
pub fn ca() -> &'static Ca {
    static CA: OnceLock<Ca> = OnceLock::new();
    CA.get_or_init(Ca::new)
}

/// Returns options that trust [`ca`].
pub fn trusting() -> TlsOptions {
    TlsOptions::new().ca_pem(ca().pem.as_bytes()).unwrap()
}

/// Returns a builder that trusts [`ca`], without keepalive and without a proxy.
pub fn builder() -> landline::Builder {
    super::builder().tls(trusting())
}

pub fn config(leaf: &Leaf) -> ServerConfig {
    versions(leaf, rustls::ALL_VERSIONS)
}

pub fn versions(
    leaf: &Leaf,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ServerConfig {
    with_provider(leaf, ring::default_provider(), versions)
}

pub fn with_provider(
    leaf: &Leaf,
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            leaf.chain.clone(),
            PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap(),
        )
        .unwrap()
}

/// Returns the config of a server that requires a certificate of the client.
pub fn wants_client(leaf: &Leaf, clients: &Ca) -> ServerConfig {
    asks_client(leaf, clients, |verifier| verifier)
}

/// Returns the config of a server that asks the client for a certificate, but does not require it.
pub fn may_want_client(leaf: &Leaf, clients: &Ca) -> ServerConfig {
    asks_client(leaf, clients, ClientCertVerifierBuilder::allow_unauthenticated)
}

fn asks_client(
    leaf: &Leaf,
    clients: &Ca,
    change: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(clients.roots());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let verifier = change(verifier);
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            leaf.chain.clone(),
            PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap(),
        )
        .unwrap()
}

/// Returns the config of a server with a good certificate for `localhost` and 127.0.0.1.
pub fn localhost() -> ServerConfig {
    config(&ca().leaf(&["localhost", "127.0.0.1"]))
}

pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

impl Io for TlsStream {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn tls(&mut self) -> Option<&mut TlsStream> {
        Some(self)
    }
}

pub fn accept(config: ServerConfig, stream: TcpStream) -> TlsStream {
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

/// Starts a server as [`serve`](super::serve) does, over TLS.
pub fn serve_tls<T: Send + 'static>(
    config: ServerConfig,
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    start(config, Box::new(script))
}

fn start<T: Send + 'static>(config: ServerConfig, script: Script<T>) -> Server<T> {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let script = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        script(&mut Peer::new(accept(config, stream)))
    });
    Server { addr, secure: true, script }
}

/// Starts a server as [`upgraded`](super::upgraded) does, over TLS.
pub fn upgraded_tls<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    serve_tls(localhost(), move |peer| {
        peer.upgrade();
        script(peer)
    })
}
