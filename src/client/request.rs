//! The header lines of the request, checked.

use std::time::SystemTime;

use super::config::{Authorization, Config};
use super::redirect::{RequestContext, is_harmless};
use crate::error::{Error, InvalidInput};
use crate::net::basic_auth::BasicAuth;
use crate::proto::deflate;
use crate::proto::http::{MAX_HEAD, begins_with, is_field_value, is_token, shown_name};

/// All header lines except those of the handshake itself.
pub(crate) struct HeaderLines {
    /// The value of `Host`, if it is not the one of the URL.
    pub(crate) host: Option<String>,
    pub(crate) lines: Vec<(String, String)>,
}

impl HeaderLines {
    /// Collects and checks the header lines. After a redirect has left the first origin, only
    /// harmless ones are taken.
    pub(crate) fn new(config: &Config, context: &RequestContext) -> Result<Self, Error> {
        let mut lines = given(config, context)?;
        let authorization = authorization(config, context)?;
        let ours = [
            ("Origin", &config.origin),
            ("User-Agent", &config.user_agent),
            ("Authorization", &authorization),
            ("Cookie", &config.cookie),
            ("Host", &config.host),
        ];
        for (name, value) in ours {
            if let (Some(value), false) = (value, lines.iter().any(|line| is(line, name))) {
                lines.push((name.to_owned(), value.clone()));
            }
        }
        if !context.is_first_origin() {
            keep(&mut lines, &is_harmless);
        }
        let cookies = cookies(config, context, &lines);
        keep(&mut lines, &|name| !name.eq_ignore_ascii_case("Cookie"));
        if !cookies.is_empty() {
            lines.push(("Cookie".to_owned(), cookies));
        }

        let subprotocols = config.subprotocols.iter().map(|name| name.len() + 2).sum::<usize>();
        let size = lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        if size + subprotocols + context.server.resource.len() > MAX_HEAD {
            return Err(InvalidInput::RequestTooLarge.into());
        }
        for (name, value) in &lines {
            if !is_token(name) || !is_field_value(value) {
                return Err(InvalidInput::Header(shown_name(name).into()).into());
            }
            if is_reserved(name) {
                return Err(InvalidInput::ReservedHeader(name.as_str().into()).into());
            }
        }
        let host = lines.iter().rfind(|line| is(line, "Host")).map(|(_, value)| value.clone());
        keep(&mut lines, &|name| !name.eq_ignore_ascii_case("Host"));
        if let Some(deflate) = &config.deflate {
            if let Some(option) = deflate::out_of_range(deflate) {
                return Err(InvalidInput::Deflate(option.into()).into());
            }
            lines.push(("Sec-WebSocket-Extensions".to_owned(), deflate::offer(deflate)));
        }
        for (at, name) in config.subprotocols.iter().enumerate() {
            if !is_token(name) || config.subprotocols[..at].contains(name) {
                return Err(InvalidInput::Subprotocol(at).into());
            }
        }
        Ok(Self { host, lines })
    }

    /// Returns the value of the last `User-Agent`.
    pub(crate) fn user_agent(&self) -> Option<&str> {
        let line = self.lines.iter().rfind(|line| is(line, "User-Agent"));
        line.map(|(_, value)| value.as_str())
    }
}

/// Returns the headers that the caller gave. Those of `headers_with` replace those of `header` that
/// have the same name.
fn given(config: &Config, context: &RequestContext) -> Result<Vec<(String, String)>, Error> {
    let mut lines = config.headers.clone();
    if let Some(hook) = &config.headers_with {
        let fresh = hook(context).map_err(Error::Io)?;
        keep(&mut lines, &|name| !fresh.iter().any(|line| is(line, name)));
        lines.extend(fresh);
    }
    Ok(lines)
}

fn authorization(
    config: &Config,
    context: &RequestContext,
) -> Result<Option<String>, InvalidInput> {
    let url = context.server.credentials.clone();
    let url = url.map(|(user, password)| Authorization::Basic(user, password));
    config.authorization.as_ref().or(url.as_ref()).map(Authorization::value).transpose()
}

/// Returns the value of `Cookie`: the cookies of the store whose names the caller does not give,
/// then the caller's, unchanged. Empty if there are none.
fn cookies(config: &Config, context: &RequestContext, lines: &[(String, String)]) -> String {
    let given = || lines.iter().filter(|line| is(line, "Cookie")).map(|(_, value)| value.as_str());
    let is_given = |cookie: &str| {
        given().any(|line| line.split(';').any(|given| name_of(given) == name_of(cookie)))
    };
    let mut all = String::new();
    let mut put = |cookies: &str| {
        if !cookies.is_empty() {
            all.push_str(if all.is_empty() { "" } else { "; " });
            all.push_str(cookies);
        }
    };
    let store = config.cookie_store.as_ref();
    let stored = store.and_then(|store| store.cookies(context.url(), SystemTime::now()));
    for cookie in stored.as_deref().unwrap_or_default().split(';') {
        let cookie = cookie.trim_ascii_start();
        if !is_given(cookie) {
            put(cookie);
        }
    }
    given().for_each(put);
    all
}

fn name_of(cookie: &str) -> &str {
    cookie.split('=').next().unwrap_or_default().trim()
}

/// Keeps the lines with these names.
fn keep(lines: &mut Vec<(String, String)>, is_kept: &dyn Fn(&str) -> bool) {
    lines.retain(|(name, _)| is_kept(name));
}

fn is((name, _): &(String, String), other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Returns `true` for a header that the handshake, or HTTP below it, writes itself.
fn is_reserved(name: &str) -> bool {
    ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || begins_with(name, "Sec-WebSocket-")
        || begins_with(name, "Proxy-")
}

impl Authorization {
    fn value(&self) -> Result<String, InvalidInput> {
        match self {
            Self::Basic(user, password) => match BasicAuth::new(user, password) {
                Some(auth) => Ok(auth.header_value().to_owned()),
                None => Err(InvalidInput::Header("Authorization".into())),
            },
            Self::Bearer(token) => Ok(format!("Bearer {token}")),
        }
    }
}
