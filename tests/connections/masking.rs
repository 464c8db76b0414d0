//! RFC 6455 section 5.3 on a real socket: the masking keys are fresh, and nobody can guess them.

#![allow(clippy::unwrap_used)] // The clippy.toml lets tests, but not what they call.

use crate::support;

use std::collections::{HashMap, HashSet};
use std::io::Read as _;

use support::*;

/// The keys of so many frames of a connection of its own.
fn keys(count: usize) -> Vec<[u8; 4]> {
    let server = upgraded(move |peer| {
        // Without a payload a frame is two bytes and its key.
        let mut frames = vec![0; count * 6];
        peer.socket().read_exact(&mut frames).unwrap();
        let keys = frames.chunks_exact(6).map(|frame| {
            assert_eq!(frame[..2], [0x82, 0x80], "an empty, masked binary message");
            *frame.last_chunk().unwrap()
        });
        keys.collect()
    });
    let ws = builder().connect(&server.url()).unwrap();
    for _ in 0..count / 1000 {
        ws.sender().batch([&b""[..]; 1000]).unwrap();
    }
    server.join()
}

/// How far the counts of 256 values are from even: 255 is usual, 23 of it the deviation.
fn chi_square(values: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0_u32; 256];
    values.for_each(|value| counts[usize::from(value)] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

#[test]
fn a_peer_that_sees_200_000_keys_cannot_guess_the_next() {
    watchdog(LIMIT, || {
        let keys = keys(200_000);
        let distinct: HashSet<_> = keys.iter().collect();
        // By chance five come twice.
        assert!(keys.len() - distinct.len() < 30, "{} of {}", distinct.len(), keys.len());
        assert!(keys.iter().filter(|key| **key == [0; 4]).count() < 2);
        let even = |what: &str, values: &mut dyn Iterator<Item = u8>| {
            let distance = chi_square(values);
            assert!((120.0..420.0).contains(&distance), "{what}: {distance}");
        };
        for at in 0..4 {
            even("a byte", &mut keys.iter().map(|key| key[at]));
            let pairs = || keys.windows(2).map(|pair| (pair[0][at], pair[1][at]));
            even("a step", &mut pairs().map(|(one, next)| next.wrapping_sub(one)));
            even("a change", &mut pairs().map(|(one, next)| next ^ one));
            // The pool of keys that is asked for at a time has 512 bytes.
            let pools = || keys.iter().zip(keys.iter().skip(128));
            even("a pool", &mut pools().map(|(one, next)| next[at].wrapping_sub(one[at])));
        }
        for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            even("two bytes", &mut keys.iter().map(|key| key[one].wrapping_sub(key[other])));
        }
    });
}

#[test]
fn a_peer_of_two_connections_sees_other_keys_in_each() {
    watchdog(LIMIT, || {
        let mut seen: HashMap<[u8; 4], usize> = HashMap::new();
        for connection in 0..10 {
            for key in keys(1000) {
                seen.entry(key).or_insert(connection);
            }
        }
        // Of ten thousand keys none or one comes twice by chance.
        assert!(seen.len() > 9_990, "{}", seen.len());
    });
}
