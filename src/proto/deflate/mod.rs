//! permessage-deflate (RFC 7692): what is offered, and what was agreed on.

pub mod compress;
pub mod extension;
pub(crate) mod options;

use super::error::Mismatch;
pub(crate) use options::{Deflate, DeflateParameters};
use options::{DeflateMismatch, Parameter};

const NAME: &str = "permessage-deflate";

/// The parameters that are agreed on when a server answers with the name alone.
pub const NO_PARAMETERS: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// The first option that is out of its range.
#[must_use]
pub fn out_of_range(deflate: &Deflate) -> Option<&'static str> {
    if !(8..=15).contains(&deflate.server_max_window_bits) {
        return Some("server_max_window_bits");
    }
    // What zlib cannot do is not offered.
    if !(9..=15).contains(&deflate.client_max_window_bits) {
        return Some("client_max_window_bits");
    }
    (deflate.level > 9).then_some("level")
}

/// The value of `Sec-WebSocket-Extensions`.
#[must_use]
pub fn offer(deflate: &Deflate) -> String {
    let mut offer = NAME.to_owned();
    // Section 7.1.2.2: that it is there lets the server limit our window.
    if deflate.offer_client_max_window_bits {
        offer.push_str("; client_max_window_bits");
        if deflate.client_max_window_bits < 15 {
            offer.push_str(&format!("={}", deflate.client_max_window_bits));
        }
    }
    if deflate.server_max_window_bits < 15 {
        offer.push_str(&format!("; server_max_window_bits={}", deflate.server_max_window_bits));
    }
    if deflate.client_no_context_takeover {
        offer.push_str("; client_no_context_takeover");
    }
    if deflate.server_no_context_takeover {
        offer.push_str("; server_no_context_takeover");
    }
    offer
}

/// What a server accepted of the [`offer`], of all the lines of
/// `Sec-WebSocket-Extensions` in its answer; `None` if it declined.
///
/// # Errors
/// [`Mismatch::Extension`] if it is no list of extensions, or names anything but one
/// permessage-deflate; [`Mismatch::Deflate`].
pub fn agree<'a>(
    deflate: &Deflate,
    lines: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<DeflateParameters>, Mismatch> {
    let mut accepted = None;
    for line in lines {
        for extension in extension::parse(line).ok_or(Mismatch::Extension)? {
            if extension.name != NAME || accepted.is_some() {
                return Err(Mismatch::Extension);
            }
            accepted = Some(accept(deflate, &extension.parameters).map_err(Mismatch::Deflate)?);
        }
    }
    Ok(accepted)
}

/// RFC 7692 sections 7.1.1 and 7.1.2.
fn accept(
    deflate: &Deflate,
    parameters: &[(&str, Option<String>)],
) -> Result<DeflateParameters, DeflateMismatch> {
    let mut server_takeover = None;
    let mut client_takeover = None;
    let mut server_bits = None;
    let mut client_bits = None;
    for (name, value) in parameters {
        let parameter = Parameter::named(name).ok_or(DeflateMismatch::Unknown)?;
        let value = value.as_deref();
        let known = match parameter {
            Parameter::ServerNoContextTakeover => server_takeover.replace(flag(value)),
            Parameter::ClientNoContextTakeover => client_takeover.replace(flag(value)),
            Parameter::ServerMaxWindowBits => server_bits.replace(bits(value)),
            Parameter::ClientMaxWindowBits => client_bits.replace(bits(value)),
        };
        if known.is_some() {
            return Err(DeflateMismatch::Repeated(parameter));
        }
    }
    let flag = |flag: Option<Option<u8>>, parameter| match flag {
        Some(None) => Err(DeflateMismatch::Value(parameter)),
        flag => Ok(flag.is_some()),
    };
    let window = |bits: Option<Option<u8>>, most, parameter| match bits {
        None => Ok(None),
        Some(None) => Err(DeflateMismatch::Value(parameter)),
        Some(Some(bits)) if bits > most => Err(DeflateMismatch::Larger(parameter)),
        Some(bits) => Ok(bits),
    };
    // Sections 7.1.1.1 and 7.1.2.1: a server that accepts these repeats them. Many accept the
    // offer and do not; then they do not hold. We inflate with the largest window, and with
    // context takeover, whatever was asked for: nothing is lost but the server's memory.
    let server_no_context_takeover = flag(server_takeover, Parameter::ServerNoContextTakeover)?;
    let client_no_context_takeover = flag(client_takeover, Parameter::ClientNoContextTakeover)?;
    // zlib cannot do 8 bits on a raw stream. It does 9 instead, and servers say so.
    let most = deflate.server_max_window_bits.max(9);
    let server_bits = window(server_bits, most, Parameter::ServerMaxWindowBits)?;
    // Section 7.1.2.2: it must not be answered if it was not offered.
    if client_bits.is_some() && !deflate.offer_client_max_window_bits {
        return Err(DeflateMismatch::NotOffered(Parameter::ClientMaxWindowBits));
    }
    let most = deflate.client_max_window_bits;
    let client_bits = window(client_bits, most, Parameter::ClientMaxWindowBits)?;
    Ok(DeflateParameters {
        server_no_context_takeover,
        client_no_context_takeover: client_no_context_takeover
            || deflate.client_no_context_takeover,
        server_max_window_bits: server_bits.unwrap_or(15),
        client_max_window_bits: client_bits.unwrap_or(deflate.client_max_window_bits),
    })
}

/// A parameter without a value; the number means nothing.
fn flag(value: Option<&str>) -> Option<u8> {
    if value.is_none() { Some(0) } else { None }
}

/// Section 7.1.2.1: a decimal integer from 8 to 15, without leading zeros.
fn bits(value: Option<&str>) -> Option<u8> {
    (8..=15).find(|bits: &u8| value == Some(&*bits.to_string()))
}
