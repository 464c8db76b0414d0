//! What the request says beside the handshake: its header lines, checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::builder::Builder;
use crate::error::{Error, InvalidInput};
use crate::net::target::Target;
use crate::proto::http::{MAX_HEAD, is_field_value, is_token};

/// All header lines but those of the handshake itself.
pub(crate) struct HeaderLines {
    /// Instead of the URL's.
    pub(crate) host: Option<String>,
    pub(crate) lines: Vec<(String, String)>,
}

impl HeaderLines {
    /// All header lines but those of the handshake itself, checked.
    pub(crate) fn new(builder: &Builder, target: &Target) -> Result<Self, Error> {
        let given =
            |name: &str| builder.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut lines = Vec::new();
        let mut ours = |name: &str, value: &Option<String>| {
            if let (Some(value), false) = (value, given(name)) {
                lines.push((name.to_owned(), value.clone()));
            }
        };
        let url = target.credentials.clone();
        let url = url.map(|(user, password)| Authorization::Basic(user, password));
        let authorization = builder.authorization.as_ref().or(url.as_ref());
        let authorization = authorization.map(Authorization::value).transpose()?;
        ours("Origin", &builder.origin);
        ours("User-Agent", &builder.user_agent);
        ours("Authorization", &authorization);
        ours("Cookie", &builder.cookie);
        lines.extend(builder.headers.iter().cloned());

        let mut host = builder.host.clone();
        for (name, value) in &lines {
            if !is_token(name) || !is_field_value(value) {
                return Err(InvalidInput::Header(name.escape_debug().to_string().into()).into());
            }
            if is_reserved(name) {
                return Err(InvalidInput::ReservedHeader(name.as_str().into()).into());
            }
            if name.eq_ignore_ascii_case("Host") {
                host = Some(value.clone());
            }
        }
        if host.as_deref().is_some_and(|host| !is_field_value(host)) {
            return Err(InvalidInput::Header("Host".into()).into());
        }
        lines.retain(|(name, _)| !name.eq_ignore_ascii_case("Host"));
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &builder.deflate {
            if let Some(option) = deflate.out_of_range() {
                return Err(InvalidInput::Deflate(option.into()).into());
            }
            lines.push(("Sec-WebSocket-Extensions".to_owned(), deflate.offer()));
        }
        for (at, name) in builder.subprotocols.iter().enumerate() {
            if !is_token(name) || builder.subprotocols[..at].contains(name) {
                return Err(InvalidInput::Subprotocol(name.as_str().into()).into());
            }
        }
        let subprotocols = builder.subprotocols.iter().map(|name| name.len() + 2).sum::<usize>();
        let size = lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let host_size = host.as_ref().map_or(0, String::len);
        if size + subprotocols + host_size + target.resource.len() > MAX_HEAD {
            return Err(InvalidInput::RequestTooLarge.into());
        }
        Ok(Self { host, lines })
    }
}

/// Whether the handshake, or HTTP below it, writes the header itself.
fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || begins("Sec-WebSocket-")
        || begins("Proxy-")
}

/// The credentials of a request.
#[derive(Clone)]
pub(crate) enum Authorization {
    Basic(String, String),
    Bearer(String),
}

impl Authorization {
    fn value(&self) -> Result<String, InvalidInput> {
        match self {
            // RFC 7617 section 2: the first colon ends the user.
            Self::Basic(user, _) if user.contains(':') => {
                Err(InvalidInput::Header("Authorization".into()))
            }
            Self::Basic(user, password) => {
                Ok(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
            }
            Self::Bearer(token) => Ok(format!("Bearer {token}")),
        }
    }
}
