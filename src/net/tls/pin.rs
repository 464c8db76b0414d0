//! Pins: the public keys that a server may have.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::hash::{Hash, HashAlgorithm};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme, SupportedCipherSuite,
};

use super::verifier::invalid;
use crate::error::{InvalidInput, PinMismatch};

/// The bytes of a SHA-256.
const LEN: usize = 32;

/// The hashes of the public keys that a server may have.
#[derive(Clone)]
pub(super) struct Pins {
    hashes: Vec<[u8; LEN]>,
    /// Adds the check to a verifier. A program that pins nothing does not name this function, so
    /// its code is left out.
    pub(super) add_to: AddTo,
}

type AddTo = fn(
    &Pins,
    Arc<dyn ServerCertVerifier>,
    &CryptoProvider,
) -> Result<Arc<dyn ServerCertVerifier>, InvalidInput>;

impl Pins {
    /// Reads `sha256//BASE64`, or several of these between semicolons.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidInput> {
        let hashes: Result<_, _> = text.split(';').map(|pin| parse(pin.trim())).collect();
        Ok(Self { hashes: hashes?, add_to: Self::add_to })
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.hashes.extend(more.hashes);
    }

    fn add_to(
        &self,
        inner: Arc<dyn ServerCertVerifier>,
        provider: &CryptoProvider,
    ) -> Result<Arc<dyn ServerCertVerifier>, InvalidInput> {
        let sha256 = sha256(provider).ok_or_else(|| {
            invalid("a pin needs SHA-256, and the crypto provider has no TLS 1.3 suite with it")
        })?;
        let algorithms = provider.signature_verification_algorithms;
        Ok(Arc::new(Pinned { inner, hashes: self.hashes.clone(), sha256, algorithms }))
    }
}

fn parse(pin: &str) -> Result<[u8; LEN], InvalidInput> {
    let decoded = pin.strip_prefix("sha256//").and_then(|base64| BASE64.decode(base64).ok());
    decoded.and_then(|hash| hash.try_into().ok()).ok_or_else(|| {
        invalid("a pin is `sha256//` and the base64 of 32 bytes, with `=` at its end")
    })
}

fn sha256(provider: &CryptoProvider) -> Option<&'static dyn Hash> {
    provider.cipher_suites.iter().find_map(|suite| {
        #[allow(irrefutable_let_patterns)] // Without TLS 1.2 it is the only kind.
        let SupportedCipherSuite::Tls13(suite) = suite else { return None };
        let hash = suite.common.hash_provider;
        (hash.algorithm() == HashAlgorithm::SHA256).then_some(hash)
    })
}

/// Checks the public key of a server's certificate, after another verifier has checked all else.
///
/// The signature by which the server proves that it has the key is checked in any case. Without
/// that, anybody could show the certificate that belongs to the pin.
struct Pinned {
    inner: Arc<dyn ServerCertVerifier>,
    hashes: Vec<[u8; LEN]>,
    sha256: &'static dyn Hash,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let hash = self.sha256.hash(&key);
        if self.hashes.iter().any(|pinned| pinned == hash.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        let shown = format!("sha256//{}", BASE64.encode(hash.as_ref()));
        let mismatch = OtherError(Arc::new(PinMismatch::new(&shown)));
        Err(CertificateError::Other(mismatch).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    use super::*;
    use crate::net::tls::verifier::{Roots, Verify};

    /// Returns the verifier of a client that accepts any certificate with the pinned key.
    fn pinning(key: &[u8]) -> Arc<dyn ServerCertVerifier> {
        let provider = rustls::crypto::ring::default_provider();
        let hash = sha256(&provider).expect("ring has SHA-256").hash(key);
        let pin = format!("sha256//{}", BASE64.encode(hash.as_ref()));
        let pins = Pins::parse(&pin).expect("a pin");
        let any = Roots::default().verifier(Verify::Nothing, &provider).expect("no roots");
        pins.add_to(any, &provider).expect("ring has SHA-256")
    }

    #[test]
    fn no_change_of_the_key_in_a_certificate_passes_for_it() {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        let spki = key.subject_public_key_info();
        let verifier = pinning(&spki);
        let name = ServerName::try_from("a.test").expect("a name");
        let is_accepted = |der: &[u8]| {
            let (der, now) = (CertificateDer::from(der), UnixTime::now());
            verifier.verify_server_cert(&der, &[], &name, &[], now).is_ok()
        };
        assert!(is_accepted(&der));
        for cut in 0..der.len() {
            assert!(!is_accepted(&der[..cut]), "cut after {cut} bytes");
        }
        let start = der.windows(spki.len()).position(|part| part == spki).expect("the key");
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[at] ^= 1 << bit;
                let is_in_key = (start..start + spki.len()).contains(&at);
                assert!(!(is_accepted(&changed) && is_in_key), "bit {bit} of byte {at}");
            }
        }
        // The key of the pin elsewhere in the certificate, or after it, does not count.
        let other = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], spki.clone());
        params.custom_extensions.push(extension);
        let mut der = params.self_signed(&other).expect("a certificate").der().to_vec();
        assert!(der.windows(spki.len()).any(|part| part == spki));
        assert!(!is_accepted(&der));
        der.extend_from_slice(&spki);
        assert!(!is_accepted(&der));
    }
}
