//! The roots that TLS trusts, and the checks of the certificate that a server shows.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{InvalidInput, is_ca_used_as_end_entity};

/// The certificates that are trusted.
#[derive(Clone, Default)]
pub(super) struct Roots {
    pub(super) base: Base,
    /// The roots of the operating system are trusted besides the base.
    pub(super) native_too: bool,
    /// Certificates that are trusted besides the base.
    added: Vec<CertificateDer<'static>>,
    /// Takes the certificates that the caller gave into a store. A program that gives none does not
    /// name this function, so its code is left out.
    take_given: Option<TakeGiven>,
}

type TakeGiven = fn(&Roots, &mut RootCertStore) -> Result<(), InvalidInput>;

#[derive(Clone, Default)]
pub(super) enum Base {
    #[default]
    Mozilla,
    #[cfg_attr(not(feature = "native-roots"), allow(dead_code))]
    Native,
    These(Vec<CertificateDer<'static>>),
}

/// The part of a server's certificate that is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verify {
    #[default]
    All,
    NotTheName,
    Nothing,
}

impl Roots {
    /// Trusts these instead of the roots of Mozilla or of the operating system.
    pub(super) fn replace(&mut self, certificates: Vec<CertificateDer<'static>>) {
        match &mut self.base {
            Base::These(roots) => roots.extend(certificates),
            base => *base = Base::These(certificates),
        }
        self.take_given = Some(Self::take_given);
    }

    /// Trusts these too.
    pub(super) fn add(&mut self, certificates: Vec<CertificateDer<'static>>) {
        self.added.extend(certificates);
        self.take_given = Some(Self::take_given);
    }

    /// Returns the code that checks the certificates of servers.
    pub(super) fn verifier(
        &self,
        verify: Verify,
        provider: &CryptoProvider,
    ) -> Result<Arc<dyn ServerCertVerifier>, InvalidInput> {
        if verify == Verify::Nothing {
            return Ok(Arc::new(AcceptsAnything));
        }
        Ok(Arc::new(Verifier {
            roots: self.store()?,
            given: self.given().cloned().collect(),
            any_name: verify == Verify::NotTheName,
            algorithms: provider.signature_verification_algorithms,
        }))
    }

    /// Returns the names of the trusted certificates, for the text of an error.
    pub(super) fn describe(&self) -> String {
        let base = match self.base {
            Base::Mozilla if cfg!(feature = "mozilla-roots") => "Mozilla's roots",
            Base::Mozilla => "no roots",
            Base::Native => "the roots of the operating system",
            Base::These(_) => "the certificates given to `ca_pem`",
        };
        let native = if self.native_too { " and the roots of the operating system" } else { "" };
        let added =
            if self.added.is_empty() { "" } else { " and the certificates given to `add_ca_pem`" };
        format!("{base}{native}{added}")
    }

    /// Returns the certificates that the caller gave.
    fn given(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let these = match &self.base {
            Base::These(these) => &these[..],
            _ => &[],
        };
        these.iter().chain(&self.added)
    }

    /// Adds the given certificates of authorities to the roots. A root may issue certificates for
    /// any name, so no other certificate becomes one (RFC 5280 section 4.2.1.9).
    fn take_given(&self, store: &mut RootCertStore) -> Result<(), InvalidInput> {
        for certificate in self.given() {
            let mut this = RootCertStore::empty();
            this.add(certificate.clone())
                .map_err(|_| invalid("a certificate that was given as trusted is malformed"))?;
            if is_authority(certificate) {
                store.extend(this.roots);
            }
        }
        Ok(())
    }

    fn store(&self) -> Result<RootCertStore, InvalidInput> {
        let mut store = RootCertStore::empty();
        if let Base::Mozilla = self.base {
            #[cfg(feature = "mozilla-roots")]
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(take_given) = self.take_given {
            take_given(self, &mut store)?;
        }
        #[cfg(feature = "native-roots")]
        if self.native_too || matches!(self.base, Base::Native) {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if let (true, Some(error)) = (store.is_empty(), found.errors.first()) {
                return Err(invalid(&error.to_string()));
            }
        }
        if store.is_empty() && self.given().next().is_none() {
            return Err(invalid(
                "no root certificate is trusted: give some to `TlsOptions::ca_pem`, or enable the \
                 feature \"mozilla-roots\"",
            ));
        }
        Ok(store)
    }
}

/// Returns whether this is the certificate of an authority (CA:TRUE). One of version 1 of X.509
/// does not say that it is.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
    let roots = RootCertStore::empty();
    let as_server_at =
        |time| verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], time, &[]);
    // The dates are checked first, so they must be right. They begin after 1970, and the error
    // says when.
    let not_valid_yet = as_server_at(UnixTime::since_unix_epoch(Duration::ZERO));
    let checked = match not_valid_yet {
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) => as_server_at(not_before),
        checked => checked,
    };
    checked.is_err_and(|error| is_ca_used_as_end_entity(&error))
}

/// Checks that a server's certificate leads to a root, or is one of those that the caller gave.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    given: Vec<CertificateDer<'static>>,
    any_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Checks all but the name.
    fn verify_chain(
        &self,
        certificate: &ParsedCertificate<'_>,
        roots: &RootCertStore,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            certificate,
            roots,
            intermediates,
            now,
            algorithms,
        )
    }

    /// Checks a certificate that the caller gave. It needs no issuer, but the dates must be right.
    fn verify_given(
        &self,
        certificate: &ParsedCertificate<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        // The checks come in this order: the dates, whether it is the certificate of an authority,
        // its purpose, its issuer. No issuer is found, because there are no roots. So these two
        // errors say that the dates are good.
        match self.verify_chain(certificate, &RootCertStore::empty(), &[], now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Ok(()),
            Err(error) if is_ca_used_as_end_entity(&error) => Ok(()),
            checked => checked,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        if self.given.iter().any(|given| given == certificate) {
            self.verify_given(&parsed, now)?;
        } else {
            self.verify_chain(&parsed, &self.roots, intermediates, now)?;
        }
        if !self.any_name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
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

/// Accepts every certificate and every signature. A signature proves nothing here, because anybody
/// can make a key and a certificate for it. Checking it would fail for certificates that are not
/// understood.
#[derive(Debug)]
struct AcceptsAnything;

impl ServerCertVerifier for AcceptsAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Returns the schemes of all keys that a server may have.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}

/// Returns the error for options that do not work.
pub(super) fn invalid(why: &str) -> InvalidInput {
    InvalidInput::Tls(why.into())
}
