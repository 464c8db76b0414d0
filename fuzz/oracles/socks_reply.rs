//! Answers of SOCKS proxies: the result is the same, however the bytes are cut, and is that of a
//! model. No byte after the answers is read.
//!
//! Input: a byte of options (1: SOCKS 4, 2: with a password, 4: a name), the cutting plan with its
//! length before it, everything that the proxy sends.

use landline::error::SocksError;
use landline::proto::socks::{Destination, Handshake, Version};

/// The result of a talk: whether the tunnel opened, the number of bytes read, and the bytes sent.
type Outcome = (Result<bool, SocksError>, usize, Vec<u8>);

pub fn check(data: &[u8]) {
    let Some((&options, data)) = data.split_first() else { return };
    let (plan, bytes) = super::split(data);
    let cut = talk(options, bytes, plan);
    assert_eq!(cut, talk(options, bytes, &[0]), "cut by {plan:?}");
    super::note(&cut);
    let (result, read, said) = talk(options, bytes, &[]);
    assert_eq!(cut, (result, read, said.clone()), "as much as is missing at a time");

    let (expected, len) = model(options, bytes);
    assert_eq!(result.ok(), expected, "{bytes:?}");
    if expected == Some(true) {
        assert_eq!(read, len, "what follows belongs to the tunnel");
    }
    let password = b"canary";
    let asked_for_it = options & 3 == 2 && bytes.starts_with(&[5, 2]);
    assert_eq!(said.windows(6).any(|six| six == password), asked_for_it, "the password is said");
}

fn talk(options: u8, bytes: &[u8], plan: &[u8]) -> Outcome {
    let version = if options & 1 == 0 { Version::V5 } else { Version::V4 };
    let password = if options & 1 == 0 { "canary" } else { "" };
    let credentials = (options & 2 != 0).then_some(("user", password));
    let destination = match options & 4 {
        0 => Destination::Address([10, 1, 2, 3].into()),
        _ => Destination::Name("server.test"),
    };
    let mut handshake = Handshake::new(version, destination, 80, credentials).unwrap();
    let mut lengths = plan.iter().cycle();
    let (mut at, mut said) = (0, Vec::new());
    loop {
        said.extend(handshake.take_output());
        let missing = handshake.missing();
        if missing == 0 {
            return (Ok(true), at, said);
        }
        let some = lengths.next().map_or(missing, |&len| missing.min(usize::from(len) + 1));
        let part = &bytes[at..bytes.len().min(at + some)];
        if part.is_empty() {
            return (Ok(false), at, said);
        }
        at += part.len();
        if let Err(error) = handshake.receive(part) {
            // The number of bytes that are read of a refusal depends on the cut.
            return (Err(error), 0, said);
        }
    }
}

/// Returns whether the tunnel opens (`true`), needs more bytes (`false`) or is refused (`None`),
/// and after how many bytes it opens.
fn model(options: u8, bytes: &[u8]) -> (Option<bool>, usize) {
    if options & 1 != 0 {
        let outcome = match bytes {
            [0 | 4] | [] => Some(false),
            [0 | 4, 90, ..] => Some(bytes.len() >= 8),
            _ => None,
        };
        return (outcome, 8);
    }
    let (reply, before) = match bytes {
        [] | [5] => return (Some(false), 0),
        [5, 0, reply @ ..] => (reply, 2),
        [5, 2, rest @ ..] if options & 2 != 0 => match rest {
            [] | [1 | 5] => return (Some(false), 0),
            [1 | 5, 0, reply @ ..] => (reply, 4),
            _ => return (None, 0),
        },
        _ => return (None, 0),
    };
    let len = match reply {
        [] | [5] | [5, 0] | [5, 0, _] | [5, 0, _, 3] => return (Some(false), 0),
        [5, 0, _, 1, ..] => 10,
        [5, 0, _, 4, ..] => 22,
        [5, 0, _, 3, name, ..] => 7 + usize::from(*name),
        _ => return (None, 0),
    };
    (Some(reply.len() >= len), before + len)
}
