//! Offers permessage-deflate (RFC 7692), and checks the parameters that were agreed on.

pub mod compress;
pub mod extension;
pub(crate) mod options;

use super::error::Mismatch;
pub(crate) use options::{Deflate, DeflateParameters};
use options::{DeflateMismatch, DeflateParameter};

const NAME: &str = "permessage-deflate";

/// The parameters that hold if the server answers with the name of the extension alone.
pub const NO_PARAMETERS: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// Returns the name of the first option that is out of its range.
#[must_use]
pub fn out_of_range(deflate: &Deflate) -> Option<&'static str> {
    if !(8..=15).contains(&deflate.server_max_window_bits) {
        return Some("server_max_window_bits");
    }
    // zlib cannot do 8, so it is not offered.
    if !(9..=15).contains(&deflate.client_max_window_bits) {
        return Some("client_max_window_bits");
    }
    (deflate.level > 9).then_some("level")
}

/// Returns the value of `Sec-WebSocket-Extensions` for the request.
#[must_use]
pub fn offer(deflate: &Deflate) -> String {
    let mut offer = NAME.to_owned();
    // Section 7.1.2.2: the server may limit our window only if this is in the offer.
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

/// Returns the parameters that a server accepted of the [`offer`]; `None` if it declined. `lines`
/// are the values of all lines of `Sec-WebSocket-Extensions` in its answer.
///
/// # Errors
/// [`Mismatch::Extension`] if they are no list of extensions, or name anything but one
/// permessage-deflate; [`Mismatch::Deflate`] if a parameter does not fit the offer.
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

/// Checks the parameters of the answer (RFC 7692 sections 7.1.1 and 7.1.2).
fn accept(
    deflate: &Deflate,
    parameters: &[(&str, Option<String>)],
) -> Result<DeflateParameters, DeflateMismatch> {
    let mut server_takeover = None;
    let mut client_takeover = None;
    let mut server_bits = None;
    let mut client_bits = None;
    for (name, value) in parameters {
        let parameter = DeflateParameter::named(name).ok_or(DeflateMismatch::Unknown)?;
        let value = value.as_deref();
        let known = match parameter {
            DeflateParameter::ServerNoContextTakeover => server_takeover.replace(flag(value)),
            DeflateParameter::ClientNoContextTakeover => client_takeover.replace(flag(value)),
            DeflateParameter::ServerMaxWindowBits => server_bits.replace(bits(value)),
            DeflateParameter::ClientMaxWindowBits => client_bits.replace(bits(value)),
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
    // offer but do not repeat them; then they do not hold. That costs only memory of the server,
    // because we can inflate with the largest window and with context takeover.
    let server_no_context_takeover =
        flag(server_takeover, DeflateParameter::ServerNoContextTakeover)?;
    let client_no_context_takeover =
        flag(client_takeover, DeflateParameter::ClientNoContextTakeover)?;
    // zlib cannot do 8 bits on a raw stream. It does 9 instead, and servers say so.
    let most = deflate.server_max_window_bits.max(9);
    let server_bits = window(server_bits, most, DeflateParameter::ServerMaxWindowBits)?;
    // Section 7.1.2.2: the answer must not have it if it was not offered.
    if client_bits.is_some() && !deflate.offer_client_max_window_bits {
        return Err(DeflateMismatch::NotOffered(DeflateParameter::ClientMaxWindowBits));
    }
    let most = deflate.client_max_window_bits;
    let client_bits = window(client_bits, most, DeflateParameter::ClientMaxWindowBits)?;
    Ok(DeflateParameters {
        server_no_context_takeover,
        client_no_context_takeover: client_no_context_takeover
            || deflate.client_no_context_takeover,
        server_max_window_bits: server_bits.unwrap_or(15),
        client_max_window_bits: client_bits.unwrap_or(deflate.client_max_window_bits),
    })
}

/// Checks that a parameter has no value. The number means nothing.
fn flag(value: Option<&str>) -> Option<u8> {
    if value.is_none() { Some(0) } else { None }
}

/// Reads a decimal integer from 8 to 15, without leading zeros (section 7.1.2.1).
fn bits(value: Option<&str>) -> Option<u8> {
    (8..=15).find(|bits: &u8| value == Some(&*bits.to_string()))
}
