//! The certificates that a program gives as trusted: which of them vouch for others (RFC 5280
//! section 4.2.1.9).

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;
use crate::trust::{Shown, connect_to};

use landline::error::TlsProblem;
use landline::tls::TlsOptions;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use support::*;

/// A certificate that is self-signed, and its key.
struct Own {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Own {
    fn new(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params(names);
        let key = KeyPair::generate().unwrap();
        // If two issuers had the same name, one would be tried in place of the other.
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        change(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Returns the certificate as that of a server.
    fn shown(&self) -> Shown {
        Shown::signing(&[&self.pem], &self.issuer.key().serialize_pem())
    }

    /// Returns the certificate of a server, signed by the key of this one.
    fn issued(&self, names: &[&str]) -> Shown {
        let key = KeyPair::generate().unwrap();
        let pem = params(names).signed_by(&key, &self.issuer).unwrap().pem();
        Shown::signing(&[&pem], &key.serialize_pem())
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

fn of(constraints: IsCa) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.is_ca = constraints
}

const ANY_AUTHORITY: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

/// Connects to `localhost` with the certificates in `pem` given, instead of Mozilla's roots and
/// besides them. Returns the problem, `None` if the connection is open.
fn problem(shown: &Shown, pem: &str) -> Option<TlsProblem> {
    let ways = [
        TlsOptions::new().ca_pem(pem.as_bytes()).unwrap(),
        TlsOptions::new().add_ca_pem(pem.as_bytes()).unwrap(),
    ];
    let [instead, besides] = ways.map(|options| {
        let connected = connect_to(shown, "localhost", &rustls::version::TLS13, options);
        connected.err().map(|error| error.problem())
    });
    assert_eq!(instead, besides);
    instead
}

#[test]
fn a_given_certificate_of_no_authority_is_trusted_itself_and_vouches_for_no_other() {
    watchdog(LIMIT, || {
        // With basicConstraints, and without.
        for constraints in [IsCa::ExplicitNoCa, IsCa::NoCa] {
            let device = Own::new(&["localhost", "device.example"], of(constraints));
            assert_eq!(problem(&device.shown(), &device.pem), None);
            let other = Own::new(&["device.example"], of(IsCa::ExplicitNoCa));
            assert_eq!(problem(&other.shown(), &other.pem), Some(TlsProblem::WrongName));
            // These were made with the keys of the two devices.
            for shown in [device.issued(&["localhost"]), other.issued(&["localhost"])] {
                let given = device.pem.clone() + &other.pem;
                assert_eq!(problem(&shown, &given), Some(TlsProblem::UnknownIssuer));
            }
        }
    });
}

#[test]
fn another_certificate_of_the_same_key_and_name_is_not_the_given_one() {
    watchdog(LIMIT, || {
        let device = Own::new(&["localhost"], of(IsCa::ExplicitNoCa));
        let again = params(&["localhost"]).signed_by(device.issuer.key(), &device.issuer).unwrap();
        let key = device.issuer.key().serialize_pem();
        let again = Shown::signing(&[&again.pem()], &key);
        assert_eq!(problem(&again, &device.pem), Some(TlsProblem::UnknownIssuer));
    });
}

#[test]
fn a_given_certificate_of_version_1_vouches_for_no_other() {
    watchdog(LIMIT, || {
        let pem = include_str!("trust/version-1.pem");
        let key = KeyPair::from_pem(include_str!("trust/p256.key")).unwrap();
        let mut issuer = CertificateParams::new([]).unwrap();
        issuer.distinguished_name = rcgen::DistinguishedName::new();
        let common_name = rcgen::DnValue::Utf8String("localhost".into());
        issuer.distinguished_name.push(DnType::CommonName, common_name);
        let old = Own { pem: pem.into(), issuer: Issuer::new(issuer, key) };
        assert_eq!(problem(&old.issued(&["localhost"]), pem), Some(TlsProblem::UnknownIssuer));
    });
}

#[test]
fn a_given_certificate_of_an_authority_vouches_for_others() {
    watchdog(LIMIT, || {
        for constraints in [ANY_AUTHORITY, IsCa::Ca(BasicConstraints::Constrained(0))] {
            let authority = Own::new(&["localhost"], of(constraints));
            assert_eq!(problem(&authority.issued(&["localhost"]), &authority.pem), None);
            assert_eq!(problem(&authority.shown(), &authority.pem), None);
        }
    });
}

#[test]
fn the_dates_of_a_given_authority_do_not_matter_for_what_it_has_issued() {
    watchdog(LIMIT, || {
        for (from, to) in [(1970, 1980), (1999, 2000), (2190, 2200)] {
            let authority = Own::new(&[], |params| {
                params.is_ca = ANY_AUTHORITY;
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(to, 1, 1);
            });
            assert_eq!(problem(&authority.issued(&["localhost"]), &authority.pem), None);
        }
    });
}

#[test]
fn a_file_may_hold_authorities_and_other_certificates_in_any_order() {
    watchdog(LIMIT, || {
        let authorities = [Own::new(&[], of(ANY_AUTHORITY)), Own::new(&[], of(ANY_AUTHORITY))];
        let devices = [
            Own::new(&["localhost"], of(IsCa::ExplicitNoCa)),
            Own::new(&["localhost"], of(IsCa::NoCa)),
        ];
        let [first, second] = authorities.each_ref();
        let [one, two] = devices.each_ref();
        for order in [[one, first, two, second], [first, second, one, two]] {
            let pem: String = order.iter().map(|own| own.pem.as_str()).collect();
            for device in [one, two] {
                assert_eq!(problem(&device.shown(), &pem), None);
                let issued = device.issued(&["localhost"]);
                assert_eq!(problem(&issued, &pem), Some(TlsProblem::UnknownIssuer));
            }
            for authority in [first, second] {
                assert_eq!(problem(&authority.issued(&["localhost"]), &pem), None);
            }
        }
    });
}

/// The documentation of `TlsOptions` says so.
#[test]
fn a_given_authority_with_a_critical_extension_that_is_not_understood_vouches_for_no_other() {
    watchdog(LIMIT, || {
        let authority = Own::new(&[], |params| {
            params.is_ca = ANY_AUTHORITY;
            // The policy constraints: an explicit policy is required from the first one on.
            let skip = vec![0x30, 0x03, 0x80, 0x01, 0x00];
            let mut policy = CustomExtension::from_oid_content(&[2, 5, 29, 36], skip);
            policy.set_criticality(true);
            params.custom_extensions.push(policy);
        });
        let issued = authority.issued(&["localhost"]);
        assert_eq!(problem(&issued, &authority.pem), Some(TlsProblem::UnknownIssuer));
    });
}
