//! permessage-deflate with every combination of takeover and window bits that a server takes.

use landline::deflate::{Deflate, DeflateParameters};
use landline::{Message, WebSocket};

use super::{LARGE, Outcome, Peer, close};

/// Every offer: takeover both ways, 8 to 15 bits for the server, 9 to 15 for us.
pub(crate) fn every_offer(peer: &Peer) -> Outcome {
    let messages = [text(1), text(127), text(1000), text(70_000), noise(1), noise(70_000)];
    let (mut agreed, mut declined) = (0, 0);
    for offer in offers(8..=15, 9..=15) {
        let Some((mut ws, parameters)) = peer.open("/deflate", offer)? else {
            // What zlib cannot do a server may decline.
            declined += 1;
            assert_eq!(offer.server_max_window_bits, 8, "declined {offer:?}");
            continue;
        };
        assert_eq!(parameters.server_no_context_takeover, offer.server_no_context_takeover);
        echo(&mut ws, &messages)?;
        close(ws)?;
        agreed += 1;
    }
    assert!(agreed >= 196, "only {agreed} combinations were agreed on, {declined} declined");
    Ok(())
}

/// Says what a server asks for by itself.
pub(crate) fn every_answer(peer: &Peer) -> Outcome {
    let messages = [text(1), text(1000), text(70_000), noise(70_000)];
    for offer in offers(9..=15, 8..=15) {
        // Here the fields say what the server is told to answer.
        let path = format!(
            "/deflate?server_no_context_takeover={}&client_no_context_takeover={}\
             &server_max_window_bits={}&client_max_window_bits={}",
            u8::from(offer.server_no_context_takeover),
            u8::from(offer.client_no_context_takeover),
            offer.server_max_window_bits,
            offer.client_max_window_bits,
        );
        let (mut ws, parameters) =
            peer.open(&path, options())?.ok_or_else(|| format!("{path} was declined"))?;
        let expected = (
            offer.server_no_context_takeover,
            offer.client_no_context_takeover,
            offer.server_max_window_bits,
            offer.client_max_window_bits,
        );
        let found = (
            parameters.server_no_context_takeover,
            parameters.client_no_context_takeover,
            parameters.server_max_window_bits,
            parameters.client_max_window_bits,
        );
        assert_eq!(found, expected, "{path}");
        echo(&mut ws, &messages)?;
        close(ws)?;
    }
    Ok(())
}

/// From empty to 16 MiB, compressible and random, each twice, so that a window is used.
pub(crate) fn every_size(peer: &Peer) -> Outcome {
    for bits in [9, 15] {
        for offer in offers(bits..=bits, bits..=bits) {
            let (mut ws, _) = peer.open("/deflate", offer)?.ok_or("declined")?;
            for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, LARGE] {
                // One of the four is enough for the largest.
                if len < LARGE || !offer.client_no_context_takeover {
                    echo(&mut ws, &[text(len), noise(len), text(len)])?;
                }
            }
            close(ws)?;
        }
    }
    Ok(())
}

/// Context takeover with messages that are alike, in fragments too.
pub(crate) fn fragments(peer: &Peer) -> Outcome {
    let (mut ws, _) = peer.open("/deflate-fragment", options())?.ok_or("declined")?;
    for _ in 0..3 {
        echo(&mut ws, &[text(5000), noise(5000)])?;
    }
    close(ws)
}

fn options() -> Deflate {
    Deflate::new().min_size(0)
}

type Bits = std::ops::RangeInclusive<u8>;

fn offers(server: Bits, client: Bits) -> impl Iterator<Item = Deflate> {
    server.flat_map(move |server_max_window_bits| {
        client.clone().flat_map(move |client_max_window_bits| {
            (0..4).map(move |takeover| {
                options()
                    .server_no_context_takeover(takeover & 1 != 0)
                    .client_no_context_takeover(takeover & 2 != 0)
                    .server_max_window_bits(server_max_window_bits)
                    .client_max_window_bits(client_max_window_bits)
            })
        })
    })
}

impl Peer {
    /// `None` if the server does not compress.
    fn open(
        &self,
        path: &str,
        offer: Deflate,
    ) -> Result<Option<(WebSocket, DeflateParameters)>, landline::Error> {
        let ws = self.builder()?.deflate(offer).connect(&self.url_of(path))?;
        let parameters = ws.deflate();
        Ok(parameters.map(|parameters| (ws, parameters)))
    }
}

fn echo(ws: &mut WebSocket, messages: &[Message]) -> Outcome {
    for message in messages {
        ws.send(message)?;
        assert!(ws.recv()? == *message, "another message came back");
    }
    Ok(())
}

fn text(len: usize) -> Message {
    let mut text = String::new();
    for number in 0_u64.. {
        if text.len() >= len {
            break;
        }
        text.push_str(&format!("{{\"number\":{number},\"square\":{}}}", number * number));
    }
    text.truncate(len);
    Message::Text(text)
}

fn noise(len: usize) -> Message {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let bytes = (0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    Message::Binary(bytes.collect())
}
