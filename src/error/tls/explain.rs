//! Explains the errors of rustls in words that say what to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::pki_types::UnixTime;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};

use super::{Explained, TlsProblem};
use crate::error::connecting::Quoted;
use crate::proto::date;

/// The most names of a certificate that an error lists.
const MAX_NAMES: usize = 8;

pub(super) fn problem(error: &(dyn StdError + 'static)) -> TlsProblem {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => TlsProblem::Eof,
            _ => TlsProblem::Other,
        };
    }
    match error.downcast_ref() {
        Some(Error::InvalidCertificate(error)) => problem_of_certificate(error),
        Some(Error::NoCertificatesPresented) => TlsProblem::OtherCertificate,
        Some(Error::AlertReceived(_)) => TlsProblem::Alert,
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsProblem::NotTls,
        _ => TlsProblem::Other,
    }
}

fn problem_of_certificate(error: &CertificateError) -> TlsProblem {
    match error {
        CertificateError::UnknownIssuer => TlsProblem::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsProblem::NotValidYet
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsProblem::WrongName
        }
        CertificateError::BadSignature => TlsProblem::BadSignature,
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsProblem::UnsupportedSignature
        }
        CertificateError::Other(OtherError(other)) if other.to_string() == CA_USED => {
            TlsProblem::CaUsedAsEndEntity
        }
        CertificateError::Other(OtherError(other)) if other.is::<PinMismatch>() => {
            TlsProblem::PinMismatch
        }
        _ => TlsProblem::OtherCertificate,
    }
}

/// The server's certificate has a public key that is not pinned. It holds the text, so that a
/// program without pins has no code for it.
#[derive(Debug)]
pub(crate) struct PinMismatch(String);

impl PinMismatch {
    /// Makes the error for a key with this pin.
    pub(crate) fn new(shown: &str) -> Self {
        Self(format!(
            "the certificate has a public key that is not pinned: {shown}. If this is the key of \
             the server, give it to `TlsOptions::pin_public_key`"
        ))
    }
}

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for PinMismatch {}

/// The name that webpki gives to the error. rustls has no variant for it.
const CA_USED: &str = "CaUsedAsEndEntity";

pub(crate) fn is_ca_used_as_end_entity(error: &Error) -> bool {
    problem(error) == TlsProblem::CaUsedAsEndEntity
}

/// Explains an error, if the text of rustls for it is not good enough.
pub(super) fn explain(f: &mut fmt::Formatter<'_>, of: &Explained<'_>) -> Option<fmt::Result> {
    if problem(of.error) == TlsProblem::Eof {
        return Some(f.write_str("the peer closed the connection during the handshake"));
    }
    Some(match of.error.downcast_ref()? {
        Error::InvalidCertificate(error) => return certificate(f, error, of.trusted),
        Error::AlertReceived(alert) => explain_alert(f, *alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => f.write_str(
            "the server does not speak TLS: is the port right, or should the URL begin with ws:?",
        ),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => f.write_str("the server speaks no version of TLS that is allowed here (1.2 and 1.3)"),
        _ => return None,
    })
}

fn certificate(
    f: &mut fmt::Formatter<'_>,
    error: &CertificateError,
    trusted: &str,
) -> Option<fmt::Result> {
    Some(match error {
        CertificateError::UnknownIssuer => {
            let trusted = if trusted.is_empty() { "the given roots" } else { trusted };
            write!(
                f,
                "the certificate was not issued by an authority that is trusted: only {trusted} \
                 are. Give the certificate of its authority to `TlsOptions::add_ca_pem_file` or \
                 `ca_pem_file`, or trust the operating system's with `native_roots` (feature \
                 `native-roots`); or the server does not send the certificates in between"
            )
        }
        CertificateError::ExpiredContext { time, not_after } => {
            write!(f, "the certificate, or one of its chain, expired on {}", Date(not_after))
                .and_then(|()| write!(f, "; the clock here says {}", Date(time)))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            write!(f, "the certificate, or one of its chain, is valid from {}", Date(not_before))
                .and_then(|()| write!(f, " on; the clock here says {}: is it set?", Date(time)))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            write!(f, "the certificate is not for {}", Quoted(&expected))
                .and_then(|()| names(f, presented))
        }
        CertificateError::BadSignature => f.write_str(
            "a signature of the server, or of its certificate, does not match the key that should \
             have made it (one by an RSA key of less than 2048 bits is never accepted)",
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } => unsupported(f, signature_algorithm_id, None),
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } => unsupported(f, signature_algorithm_id, Some(public_key_algorithm_id)),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => f
            .write_str(
                "the certificate is not meant for servers: its extended key usage lacks serverAuth",
            ),
        CertificateError::BadEncoding => f.write_str("the certificate is malformed"),
        CertificateError::Other(OtherError(other)) if other.is::<PinMismatch>() => {
            write!(f, "{other}")
        }
        CertificateError::Other(OtherError(other)) => match &*other.to_string() {
            CA_USED => f.write_str(
                "the server shows the certificate of an authority (CA:TRUE) as its own, and that \
                 certificate was not given as trusted. If it is the server's own, give this very \
                 certificate to `TlsOptions::add_ca_pem_file` or `ca_pem_file`; otherwise have one \
                 issued with CA:FALSE",
            ),
            "UnsupportedCertVersion" => f.write_str(
                "the certificate is of version 1 of X.509, which has no names: have one of version \
                 3 issued, with a subjectAltName",
            ),
            "EndEntityUsedAsCa" => f.write_str(
                "a certificate in the chain issued another one, and is not that of an authority \
                 (CA:FALSE)",
            ),
            "NameConstraintViolation" => {
                f.write_str("an authority in the chain may not issue certificates for these names")
            }
            "PathLenConstraintViolated" => {
                f.write_str("the chain is longer than one of its authorities allows")
            }
            "UnsupportedCriticalExtension" => f.write_str(
                "the certificate, or one of its chain, has a critical extension that is not known \
                 here",
            ),
            _ => return None,
        },
        _ => return None,
    })
}

fn names(f: &mut fmt::Formatter<'_>, presented: &[String]) -> fmt::Result {
    if presented.is_empty() {
        return f.write_str(
            ", nor for any other name: it has no subjectAltName (the common name does not count)",
        );
    }
    for (at, name) in presented.iter().take(MAX_NAMES).enumerate() {
        // rustls writes `DnsName("a.example")` and `IpAddress(10.1.2.3)`.
        let bare = name.split_once('(').and_then(|(_, name)| name.strip_suffix(')'));
        let bare = bare.unwrap_or(name).trim_matches('"');
        write!(f, "{} {}", if at == 0 { " but for" } else { "," }, Quoted(&bare))?;
    }
    match presented.len().saturating_sub(MAX_NAMES) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }?;
    f.write_str("; `TlsOptions::server_name` sets the name that is expected")
}

fn unsupported(f: &mut fmt::Formatter<'_>, signature: &[u8], key: Option<&[u8]>) -> fmt::Result {
    write!(
        f,
        "a signature of the certificate, or of one of its chain, is {}",
        Algorithm(signature)
    )?;
    if let Some(key) = key {
        write!(f, " by a key that is {}", Algorithm(key))?;
    }
    f.write_str(
        ", which cannot be checked here. Have it signed with RSA of 2048 bits or more, or with \
         ECDSA on P-256 or P-384 with SHA-256 or SHA-384; or bring another crypto provider with \
         `TlsOptions::crypto_provider`",
    )
}

fn explain_alert(f: &mut fmt::Formatter<'_>, alert: AlertDescription) -> fmt::Result {
    write!(f, "the peer sent the alert {alert:?}")?;
    f.write_str(match alert {
        AlertDescription::HandshakeFailure => {
            ": it shares no cipher suite, curve or signature algorithm with this client (perhaps \
             it has only CBC suites or RSA key exchange of TLS 1.2, or a key on P-521; see \
             `TlsOptions`), or it wants a client certificate"
        }
        AlertDescription::ProtocolVersion => {
            ": it speaks no version of TLS that is allowed here (1.2 and 1.3)"
        }
        AlertDescription::CertificateRequired => {
            ": it wants a client certificate (`TlsOptions::client_certificate_files`)"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => {
            ": it does not accept the client certificate, or wants one \
             (`TlsOptions::client_certificate_files`)"
        }
        AlertDescription::UnrecognisedName => {
            ": it does not know the name that was sent (`TlsOptions::server_name`)"
        }
        AlertDescription::NoApplicationProtocol => ": it does not speak HTTP/1.1",
        _ => "",
    })
}

struct Date<'a>(&'a UnixTime);

impl fmt::Display for Date<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&date::format(self.0.as_secs().try_into().unwrap_or(i64::MAX)))
    }
}

/// Shows the content of an `AlgorithmIdentifier`: an object identifier, and parameters.
struct Algorithm<'a>(&'a [u8]);

impl Algorithm<'_> {
    /// The algorithms that occur in practice and ring does not know, and those that ring knows. The
    /// latter are here because the error may be about how two of them go together.
    const NAMES: &'static [(&'static [u8], &'static str)] = &[
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", "ecdsa-with-SHA1"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01", "ecdsa-with-SHA224"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", "ecdsa-with-SHA256"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", "ecdsa-with-SHA384"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", "ecdsa-with-SHA512"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "md5WithRSAEncryption"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "sha1WithRSAEncryption"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSASSA-PSS"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "sha256WithRSAEncryption"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", "sha384WithRSAEncryption"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", "sha512WithRSAEncryption"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA"),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "P-256"),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", "P-384"),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23", "P-521"),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a", "secp256k1"),
        (b"\x06\x03\x2b\x65\x70", "Ed25519"),
        (b"\x06\x03\x2b\x65\x71", "Ed448"),
    ];
}

impl fmt::Display for Algorithm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(id, _)| self.0.starts_with(id)) {
            Some((_, name)) => f.write_str(name),
            None => f.write_str("of an unknown algorithm"),
        }
    }
}
