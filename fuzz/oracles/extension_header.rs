//! Any bytes as the value of a server's `Sec-WebSocket-Extensions`: accepted parameters are within
//! the offer, and are those that a model without the crate's parser accepts.
//!
//! Input: two bytes of options, the lines of the header.

use landline::deflate::{Deflate, DeflateParameters};
use landline::proto::deflate;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::deflate::extension::parse;

pub fn check(data: &[u8]) {
    let [first, second, header @ ..] = data else { return };
    let offer = Deflate::new()
        .server_no_context_takeover(first & 1 != 0)
        .client_no_context_takeover(first & 2 != 0)
        .server_max_window_bits(8 + (first >> 2) % 8)
        .client_max_window_bits(9 + second % 7)
        .offer_client_max_window_bits(second & 0x80 == 0);
    assert_eq!(deflate::out_of_range(&offer), None);
    let lines: Vec<&[u8]> = header.split(|&byte| byte == b'\n').collect();
    lines.iter().for_each(|line| check_parse(line));

    let agreed = deflate::agree(&offer, lines.iter().copied());
    super::note(&agreed);
    if let Ok(Some(agreed)) = &agreed {
        assert!(agreed.client_no_context_takeover || !offer.client_no_context_takeover);
        assert!((8..=15).contains(&agreed.server_max_window_bits));
        assert!((8..=offer.client_max_window_bits).contains(&agreed.client_max_window_bits));
    }
    // The model does not read quotes.
    if !header.contains(&b'"') {
        assert_eq!(agreed.ok(), model(&offer, &lines));
    }
}

/// Checks that a line that was parsed and written again is parsed to the same.
fn check_parse(line: &[u8]) {
    let Some(extensions) = parse(line) else { return };
    let written: Vec<String> = extensions
        .iter()
        .map(|extension| {
            let parameters = extension.parameters.iter().map(|(name, value)| match value {
                Some(value) => format!(" ;{name}= \"{value}\""),
                None => format!("; {name}"),
            });
            format!("{}{}", extension.name, parameters.collect::<String>())
        })
        .collect();
    assert_eq!(parse(written.join(" , ").as_bytes()), Some(extensions));
}

fn model(offer: &Deflate, lines: &[&[u8]]) -> Option<Option<DeflateParameters>> {
    let mut agreed = None;
    for line in lines {
        for element in std::str::from_utf8(line).ok()?.split(',') {
            let mut parts = element.split(';').map(|part| part.trim_matches([' ', '\t']));
            if parts.next() != Some("permessage-deflate") || agreed.is_some() {
                return None;
            }
            let mut seen: Vec<(&str, Option<&str>)> = Vec::new();
            for part in parts {
                let (name, value) = match part.split_once('=') {
                    Some((name, value)) => (
                        name.trim_end_matches([' ', '\t']),
                        Some(value.trim_start_matches([' ', '\t'])),
                    ),
                    None => (part, None),
                };
                if seen.iter().any(|(known, _)| *known == name) {
                    return None;
                }
                seen.push((name, value));
            }
            agreed = Some(accept(offer, &seen)?);
        }
    }
    Some(agreed)
}

fn accept(offer: &Deflate, seen: &[(&str, Option<&str>)]) -> Option<DeflateParameters> {
    const BITS: [&str; 8] = ["8", "9", "10", "11", "12", "13", "14", "15"];
    let mut agreed = NO_PARAMETERS;
    agreed.client_no_context_takeover = offer.client_no_context_takeover;
    agreed.client_max_window_bits = offer.client_max_window_bits;
    // A server that uses zlib answers 8 with 9.
    let server_most =
        if offer.server_max_window_bits == 8 { 9 } else { offer.server_max_window_bits };
    let bits = |value: Option<&str>, most: u8| {
        let at = BITS.iter().position(|bits| Some(*bits) == value)?;
        Some(8 + u8::try_from(at).unwrap()).filter(|bits| *bits <= most)
    };
    for (name, value) in seen {
        match (*name, value) {
            ("server_no_context_takeover", None) => agreed.server_no_context_takeover = true,
            ("client_no_context_takeover", None) => agreed.client_no_context_takeover = true,
            ("server_max_window_bits", value) => {
                agreed.server_max_window_bits = bits(*value, server_most)?;
            }
            ("client_max_window_bits", value) if offer.offer_client_max_window_bits => {
                agreed.client_max_window_bits = bits(*value, offer.client_max_window_bits)?;
            }
            _ => return None,
        }
    }
    Some(agreed)
}
