//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): the core, byte by byte.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use landline::error::SocksError;
use landline::proto::socks::Destination::{Address, Name};
use landline::proto::socks::Version::{V4, V5};
use landline::proto::socks::{Destination, Handshake, Version};

const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xab, 0xcdef));

type Credentials = Option<(&'static str, &'static str)>;

const ME: Credentials = Some(("me", "pw"));

/// The bytes that each side sends: a request and the answer to it, and so on.
type Talk<'a> = &'a [(&'a [u8], &'a [u8])];

/// Returns the bytes to send now, which must be given only once.
fn said(handshake: &mut Handshake<'_>) -> Vec<u8> {
    let said = handshake.take_output();
    assert_eq!(handshake.take_output(), [], "said twice");
    said
}

/// Makes a handshake to `server.test`, port 80, that has received these good answers.
fn heard(version: Version, user: Credentials, answers: &[&[u8]]) -> Handshake<'static> {
    let mut handshake = Handshake::new(version, Name("server.test"), 80, user).unwrap();
    for answer in answers {
        assert!(!said(&mut handshake).is_empty());
        assert_eq!(handshake.receive(answer), Ok(()), "{answer:?}");
    }
    assert!(!said(&mut handshake).is_empty());
    handshake
}

/// Runs a whole talk, and reads as [`Handshake`] says: what is missing, or a part of it.
fn play(mut handshake: Handshake<'_>, talk: Talk<'_>, mut part: impl FnMut(usize) -> usize) {
    for (expected, answer) in talk {
        assert_eq!(said(&mut handshake), *expected);
        let mut rest = *answer;
        while !rest.is_empty() {
            assert_eq!(said(&mut handshake), [], "the answer is not all there");
            let missing = handshake.missing();
            assert!((1..=rest.len()).contains(&missing), "{missing} of {rest:?}");
            let (now, later) = rest.split_at(part(missing));
            assert_eq!(handshake.receive(now), Ok(()), "{now:?} of {answer:?}");
            rest = later;
        }
    }
    assert_eq!((handshake.missing(), said(&mut handshake)), (0, vec![]));
}

mod requests {
    use super::*;

    fn first(
        version: Version,
        to: Destination<'_>,
        port: u16,
        user: Option<(&str, &str)>,
    ) -> Vec<u8> {
        said(&mut Handshake::new(version, to, port, user).unwrap())
    }

    #[test]
    fn socks_4_has_the_port_the_address_and_the_user() {
        for (port, user, expected) in [
            (80, None, &b"\x04\x01\x00\x50\x0a\x01\x02\x03\x00"[..]),
            (65_535, None, b"\x04\x01\xff\xff\x0a\x01\x02\x03\x00"),
            (443, Some(("me", "")), b"\x04\x01\x01\xbb\x0a\x01\x02\x03me\x00"),
        ] {
            assert_eq!(first(V4, Address(IPV4), port, user), expected);
        }
    }

    #[test]
    fn socks_4a_has_an_impossible_address_and_the_name_after_the_user() {
        for (port, user, expected) in [
            (80, None, &b"\x04\x01\x00\x50\x00\x00\x00\x01\x00server.test\x00"[..]),
            (443, Some(("me", "")), b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00server.test\x00"),
        ] {
            assert_eq!(first(V4, Name("server.test"), port, user), expected);
        }
    }

    #[test]
    fn socks_5_offers_user_and_password_if_there_are_any() {
        for to in [Name("server.test"), Address(IPV4), Address(IPV6)] {
            assert_eq!(first(V5, to, 80, None), [5, 1, 0]);
            for user in [("me", "pw"), ("me", "")] {
                assert_eq!(first(V5, to, 80, Some(user)), [5, 2, 0, 2]);
            }
        }
    }

    /// RFC 1928 section 4.
    #[test]
    fn socks_5_has_the_type_of_the_address() {
        for (to, port, expected) in [
            (Address(IPV4), 80, &b"\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50"[..]),
            (
                Address(IPV6),
                443,
                b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\x00\xab\xcd\xef\x01\xbb",
            ),
            (Name("server.test"), 65_535, b"\x05\x01\x00\x03\x0bserver.test\xff\xff"),
        ] {
            for user in [None, ME] {
                let mut handshake = Handshake::new(V5, to, port, user).unwrap();
                assert_eq!(said(&mut handshake)[1], 1 + u8::from(user.is_some()));
                assert_eq!(handshake.receive(&[5, 0]), Ok(()));
                assert_eq!(said(&mut handshake), expected);
            }
        }
    }

    /// RFC 1929 section 2.
    #[test]
    fn user_and_password_have_their_lengths_before_them() {
        for (user, expected) in
            [(("me", "pw:1"), &b"\x01\x02me\x04pw:1"[..]), (("\0ü", ""), b"\x01\x03\0\xc3\xbc\x00")]
        {
            let mut handshake = Handshake::new(V5, Name("server.test"), 80, Some(user)).unwrap();
            assert_eq!(said(&mut handshake), [5, 2, 0, 2]);
            assert_eq!(handshake.receive(&[5, 2]), Ok(()));
            assert_eq!(said(&mut handshake), expected);
        }
    }

    #[test]
    fn a_field_may_have_255_bytes() {
        let long = "x".repeat(255);
        let counted = [&[255], long.as_bytes()].concat();
        let ended = [long.as_bytes(), &[0]].concat();
        let expected = [&[4, 1, 0, 80, 0, 0, 0, 1], &ended[..], &ended].concat();
        assert_eq!(first(V4, Name(&long), 80, Some((&long, ""))), expected);
        let mut handshake = Handshake::new(V5, Name(&long), 80, Some((&long, &long))).unwrap();
        for (expected, answer) in [
            (vec![5, 2, 0, 2], [5, 2]),
            ([&[1], &counted[..], &counted].concat(), [1, 0]),
            ([&[5, 1, 0, 3], &counted[..], &[0, 80]].concat(), [5, 0]),
        ] {
            assert_eq!(said(&mut handshake), expected);
            assert_eq!(handshake.receive(&answer), Ok(()));
        }
    }
}

mod requests_that_cannot_be_made {
    use landline::proto::socks::RequestError::{FieldLength, Ipv6, NameMarker, Password, Zero};
    use landline::proto::socks::{MAX_FIELD, RequestError};

    use super::*;

    /// Returns the error if the request cannot be made.
    fn refused(
        version: Version,
        to: Destination<'_>,
        user: Option<(&str, &str)>,
    ) -> Option<RequestError> {
        Handshake::new(version, to, 80, user).err()
    }

    #[test]
    fn a_field_may_not_have_256_bytes() {
        let (name, field) = (Name("a"), Some(FieldLength));
        assert_eq!(MAX_FIELD, 255);
        for len in [1, 254, 255, 256, 600] {
            let text = "x".repeat(len);
            let expected = field.filter(|_| len > 255);
            for version in [V4, V5] {
                assert_eq!(refused(version, Name(&text), None), expected, "{version:?} {len}");
                for to in [name, Address(IPV4)] {
                    assert_eq!(refused(version, to, Some((&text, ""))), expected, "{len}");
                }
            }
            assert_eq!(refused(V5, name, Some(("me", &text))), expected, "{len}");
        }
        // Bytes are counted, not letters.
        assert_eq!(refused(V5, Name(&"ü".repeat(127)), None), None);
        assert_eq!(refused(V5, Name(&"ü".repeat(128)), None), field);
    }

    #[test]
    fn a_name_and_a_user_are_not_empty_and_a_password_may_be() {
        for version in [V4, V5] {
            assert_eq!(refused(version, Name(""), None), Some(FieldLength));
            for to in [Name("a"), Address(IPV4)] {
                assert_eq!(refused(version, to, Some(("", ""))), Some(FieldLength));
                assert_eq!(refused(version, to, Some(("me", ""))), None);
            }
        }
        assert_eq!(refused(V5, Name("a"), Some(("", "pw"))), Some(FieldLength));
    }

    #[test]
    fn no_field_of_socks_4_has_a_zero_byte() {
        for text in ["\0", "a\0", "\0a", "a\0b"] {
            assert_eq!(refused(V4, Name(text), None), Some(Zero));
            assert_eq!(refused(V4, Name("a"), Some((text, ""))), Some(Zero));
            assert_eq!(refused(V4, Address(IPV4), Some((text, ""))), Some(Zero));
            assert_eq!(refused(V5, Name(text), Some((text, text))), None);
        }
    }

    #[test]
    fn the_error_says_which_rule_was_broken() {
        for (error, text) in [
            (FieldLength, "1 to 255 bytes"),
            (Ipv6, "SOCKS 4 cannot reach an IPv6 address"),
            (NameMarker, "0.0.0.1 to 0.0.0.255"),
            (Password, "SOCKS 4 has no password"),
            (Zero, "zero byte"),
        ] {
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn socks_4_takes_no_address_that_says_that_a_name_follows() {
        for (octets, expected) in [
            ([0, 0, 0, 0], None),
            ([0, 0, 0, 1], Some(NameMarker)),
            ([0, 0, 0, 255], Some(NameMarker)),
            ([0, 0, 1, 1], None),
        ] {
            let to = Address(IpAddr::from(octets));
            assert_eq!(refused(V4, to, None), expected, "{octets:?}");
            assert_eq!(refused(V5, to, None), None, "{octets:?}");
        }
    }

    #[test]
    fn socks_4_has_neither_ipv6_nor_a_password() {
        for user in [None, Some(("me", "")), ME] {
            assert_eq!(refused(V4, Address(IPV6), user), Some(Ipv6));
            assert_eq!(refused(V5, Address(IPV6), user), None);
        }
        for to in [Name("a"), Address(IPV4)] {
            assert_eq!(refused(V4, to, ME), Some(Password));
            assert_eq!(refused(V4, to, Some(("me", &"x".repeat(256)))), Some(Password));
            assert_eq!(refused(V5, to, ME), None);
        }
    }
}

mod answers {
    use super::*;

    const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0bserver.test\x00\x50";

    /// Runs a good talk with its answers whole, byte by byte, and cut at each place.
    fn every_cut(version: Version, user: Credentials, talk: Talk<'_>) {
        let handshake = || Handshake::new(version, Name("server.test"), 80, user).unwrap();
        play(handshake(), talk, |missing| missing);
        play(handshake(), talk, |_| 1);
        let bytes = talk.iter().map(|(_, answer)| answer.len()).sum();
        for cut in 1..bytes {
            let mut at = 0;
            play(handshake(), talk, |missing| {
                let part = if (at + 1..at + missing).contains(&cut) { cut - at } else { missing };
                at += part;
                part
            });
        }
    }

    #[test]
    fn a_socks_4_proxy_grants_the_request_however_the_answer_is_cut() {
        let request = b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00server.test\x00";
        // Some proxies send 4 instead of 0. Port and address mean nothing.
        for answer in [[0, 90, 0, 0, 0, 0, 0, 0], [4, 90, 255, 1, 91, 3, 4, 5]] {
            every_cut(V4, Some(("me", "")), &[(request, &answer)]);
        }
    }

    #[test]
    fn a_socks_5_proxy_grants_the_request_however_the_answers_are_cut() {
        let long = [&[3, 255][..], &[b'x'; 255]].concat();
        let addresses: [&[u8]; 6] =
            [&[1, 9, 9, 9, 9], &[4; 17], &[3, 0], b"\x03\x01x", b"\x03\x04\x05\x01\x00\x01", &long];
        for address in addresses {
            let granted = [&[5, 0, 0], address, &[3, 4]].concat();
            every_cut(V5, None, &[(&[5, 1, 0], &[5, 0]), (REQUEST, &granted)]);
            // A password that is not asked for is not sent.
            every_cut(V5, ME, &[(&[5, 2, 0, 2], &[5, 0]), (REQUEST, &granted)]);
            // RFC 1929 says 1, but some proxies send 5.
            for answer in [[1, 0], [5, 0]] {
                let password = (&b"\x01\x02me\x02pw"[..], &answer[..]);
                every_cut(V5, ME, &[(&[5, 2, 0, 2], &[5, 2]), password, (REQUEST, &granted)]);
            }
        }
    }

    #[test]
    fn a_proxy_that_is_silent_is_waited_for() {
        let mut handshake = heard(V5, None, &[]);
        assert_eq!((handshake.receive(&[]), handshake.missing()), (Ok(()), 2));
        let mut handshake = heard(V5, None, &[&[5, 0]]);
        for (byte, missing) in [(5, 3), (0, 2), (77, 1), (3, 1), (2, 4)] {
            assert_eq!(handshake.receive(&[byte]), Ok(()));
            assert_eq!(handshake.receive(&[]), Ok(()));
            assert_eq!((handshake.missing(), said(&mut handshake)), (missing, vec![]));
        }
    }

    #[test]
    fn bytes_after_the_reply_are_not_taken() {
        let reply_5: [&[u8]; 3] = [&[5, 0], &[5, 0, 0, 1], &[7; 6]];
        for (version, answers) in [(V4, &[&[0, 90, 1, 1, 1, 1, 1, 1][..]][..]), (V5, &reply_5)] {
            let mut handshake = Handshake::new(version, Name("a"), 80, None).unwrap();
            for answer in answers {
                assert_eq!(handshake.missing(), answer.len());
                // The bytes after the answer are ignored. They would be a refusal.
                assert_eq!(handshake.receive(&[answer, &[0xff; 9][..]].concat()), Ok(()));
            }
            assert_eq!(handshake.receive(&[0xff; 9]), Ok(()));
            assert_eq!(handshake.missing(), 0);
        }
    }
}

mod refusals {
    use super::*;

    /// A state of the handshake: version, credentials, and the answers that came before.
    type Stage = (Version, Credentials, &'static [&'static [u8]]);

    const REPLY_4: Stage = (V4, None, &[]);
    const METHOD: Stage = (V5, None, &[]);
    const METHOD_WITH_PASSWORD: Stage = (V5, ME, &[]);
    const AUTHENTICATED: Stage = (V5, ME, &[&[5, 2]]);
    const REPLY_5: Stage = (V5, None, &[&[5, 0]]);
    const REPLY_5_WITH_PASSWORD: Stage = (V5, ME, &[&[5, 2], &[1, 0]]);

    /// Returns the result of an answer. It is the same whole and byte by byte, and never comes
    /// before the last byte.
    fn judged((version, user, before): Stage, answer: &[u8]) -> Result<(), SocksError> {
        let judged = heard(version, user, before).receive(answer);
        let mut handshake = heard(version, user, before);
        let (last, first) = answer.split_last().unwrap();
        for byte in first {
            assert_eq!(handshake.receive(&[*byte]), Ok(()), "{byte} of {answer:?}");
        }
        assert_eq!(handshake.receive(&[*last]), judged, "{answer:?}");
        judged
    }

    #[test]
    fn a_proxy_of_another_version_is_refused_at_its_first_byte() {
        for (stage, right) in [
            (REPLY_4, &[0, 4][..]),
            (METHOD, &[5]),
            (METHOD_WITH_PASSWORD, &[5]),
            (AUTHENTICATED, &[1, 5]),
            (REPLY_5, &[5]),
            (REPLY_5_WITH_PASSWORD, &[5]),
        ] {
            for first in 0..=255 {
                let refused = Err(SocksError::NotSocks(first));
                let expected = if right.contains(&first) { Ok(()) } else { refused };
                assert_eq!(judged(stage, &[first]), expected, "{stage:?} {first}");
            }
        }
        let refused = heard(V4, None, &[]).receive(b"HTTP/1.1");
        assert_eq!(refused, Err(SocksError::NotSocks(b'H')), "not a refusal with code 84");
    }

    #[test]
    fn a_proxy_chooses_a_method_that_was_not_offered() {
        for method in 0..=255 {
            let expected = match method {
                0 => Ok(()),
                255 => Err(SocksError::NoAcceptableMethod),
                _ => Err(SocksError::Method(method)),
            };
            assert_eq!(judged(METHOD, &[5, method]), expected);
            let expected = if method == 2 { Ok(()) } else { expected };
            assert_eq!(judged(METHOD_WITH_PASSWORD, &[5, method]), expected);
        }
    }

    #[test]
    fn a_proxy_does_not_know_the_user() {
        for version in [1, 5] {
            assert_eq!(judged(AUTHENTICATED, &[version, 0]), Ok(()));
            for status in 1..=255 {
                assert_eq!(
                    judged(AUTHENTICATED, &[version, status]),
                    Err(SocksError::WrongPassword)
                );
            }
        }
    }

    #[test]
    fn a_proxy_refuses_with_a_code_and_no_more_is_waited_for() {
        for code in 0..=255 {
            for version in [0, 4] {
                let refused = Err(SocksError::Refused4(code));
                let expected = if code == 90 { Ok(()) } else { refused };
                assert_eq!(judged(REPLY_4, &[version, code]), expected);
            }
            let expected = if code == 0 { Ok(()) } else { Err(SocksError::Refused5(code)) };
            for stage in [REPLY_5, REPLY_5_WITH_PASSWORD] {
                assert_eq!(judged(stage, &[5, code]), expected);
            }
        }
    }

    #[test]
    fn a_proxy_replies_with_an_address_of_an_unknown_type() {
        for kind in 0..=255 {
            let unknown = Err(SocksError::AddressType(kind));
            let expected = if matches!(kind, 1 | 3 | 4) { Ok(()) } else { unknown };
            assert_eq!(judged(REPLY_5, &[5, 0, 0, kind]), expected);
        }
    }
}

mod shown {
    use super::*;

    #[test]
    fn a_refusal_says_why() {
        for (refusal, expected) in [
            (
                SocksError::NotSocks(b'H'),
                "the answer is not SOCKS of this version (it begins with 0x48)",
            ),
            (
                SocksError::NotSocks(0),
                "the answer is not SOCKS of this version (it begins with 0x00)",
            ),
            (SocksError::NoAcceptableMethod, "the proxy wants another authentication method"),
            (
                SocksError::Method(3),
                "the proxy chose authentication method 3, which was not offered",
            ),
            (SocksError::WrongPassword, "the proxy did not accept the user and the password"),
            (SocksError::AddressType(2), "the proxy's reply has an unknown address type, 2"),
            (SocksError::Refused4(89), "refused: unknown code (89)"),
            (SocksError::Refused4(91), "refused: rejected or failed (91)"),
            (SocksError::Refused4(92), "refused: the proxy found no identd on this machine (92)"),
            (SocksError::Refused4(93), "refused: identd reported another user (93)"),
            (SocksError::Refused4(94), "refused: unknown code (94)"),
            (SocksError::Refused5(1), "refused: general failure (1)"),
            (SocksError::Refused5(2), "refused: not allowed (2)"),
            (SocksError::Refused5(3), "refused: network unreachable (3)"),
            (SocksError::Refused5(4), "refused: host unreachable (4)"),
            (SocksError::Refused5(5), "refused: connection refused (5)"),
            (SocksError::Refused5(6), "refused: TTL expired (6)"),
            (SocksError::Refused5(7), "refused: command not supported (7)"),
            (SocksError::Refused5(8), "refused: address type not supported (8)"),
            (SocksError::Refused5(9), "refused: unknown code (9)"),
            (SocksError::Refused5(255), "refused: unknown code (255)"),
        ] {
            assert_eq!(refusal.to_string(), expected);
        }
    }

    #[test]
    fn a_handshake_does_not_show_user_and_password() {
        let to = r#"destination: Name("server.test"), port: 80"#;
        let mut handshake = Handshake::new(V4, Name("server.test"), 80, Some(("me", ""))).unwrap();
        let expected = format!("Handshake {{ version: V4, {to}, awaited: Reply4, .. }}");
        assert_eq!(format!("{handshake:?}"), expected, "with the user in what is to be said");
        assert_eq!(handshake.receive(&[0, 90, 0, 0, 0, 0, 0, 0]), Ok(()));
        assert!(format!("{handshake:?}").contains("awaited: Nothing, .."));

        let mut handshake = Handshake::new(V5, Name("server.test"), 80, ME).unwrap();
        for (awaited, answer) in
            [("Method", [5, 2]), ("PasswordVerdict", [1, 0]), ("Reply5", [5, 0])]
        {
            let expected = format!("Handshake {{ version: V5, {to}, awaited: {awaited}, .. }}");
            assert_eq!(format!("{handshake:?}"), expected);
            assert_eq!(handshake.receive(&answer), Ok(()));
        }
    }
}
