//! One cookie: reading `Set-Cookie` (RFC 6265 section 5.2), and whether a server may set it
//! (section 5.3).

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::proto::date;
use crate::proto::http::{begins_with, is_field_value};
use crate::proto::url::{self, Host};

/// Tells why a cookie is refused: by [`CookieJar::set`](crate::cookie::CookieJar::set). Those that
/// a server sends and that are refused are ignored, as browsers do.
///
/// The same cookie is refused again. Mend the program that sets it, or the server.
///
/// # Examples
///
/// ```
/// use landline::cookie::{CookieError, CookieJar};
///
/// let jar = CookieJar::new();
/// let refused = jar.set("wss://example.com/", "a=1; Domain=example.org").unwrap_err();
/// assert_eq!(refused, CookieError::ForeignDomain);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookieError {
    /// The URL is malformed, or its scheme is none of `ws`, `wss`, `http` and `https`.
    Url,
    /// The cookie has no name, is not UTF-8, or has control characters.
    Malformed,
    /// Name and value have more than 4,096 bytes, or the path has more than 1,024.
    TooLarge,
    /// `Domain` is neither the host of the URL nor a domain above it.
    ForeignDomain,
    /// `Domain` is one in which anybody can have a name, such as `com` or `co.uk`.
    PublicSuffix,
    /// The scheme of the URL is `ws` or `http`, and the cookie is `Secure` or would hide one that
    /// is.
    NotSecure,
    /// The name begins with `__Host-` or `__Secure-`, and the cookie lacks what that promises.
    Prefix,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "cookie refused: its URL is none of ws, wss, http or https",
            Self::Malformed => {
                "cookie refused: it has no name, is not UTF-8, or has control characters"
            }
            Self::TooLarge => {
                "cookie refused: name and value have more than 4,096 bytes, or the path has more \
                 than 1,024"
            }
            Self::ForeignDomain => {
                "cookie refused: its Domain is neither the host of the URL nor above it"
            }
            Self::PublicSuffix => {
                "cookie refused: its Domain is one in which anybody can have a name"
            }
            Self::NotSecure => {
                "cookie refused: it is Secure, or would hide one that is, and its URL is not secure"
            }
            Self::Prefix => {
                "cookie refused: it lacks what its prefix __Host- or __Secure- promises"
            }
        })
    }
}

impl std::error::Error for CookieError {}

/// Holds a cookie as a [`CookieJar`](crate::cookie::CookieJar) keeps it.
///
/// # Examples
///
/// ```
/// use landline::cookie::CookieJar;
///
/// let jar = CookieJar::new();
/// jar.set("wss://example.com/feed/live", "id=5f3a; Secure; Path=/feed; Max-Age=60")?;
/// let cookie = &jar.all()[0];
/// assert_eq!((cookie.name(), cookie.value()), ("id", "5f3a"));
/// assert_eq!((cookie.domain(), cookie.path()), ("example.com", "/feed"));
/// assert!(cookie.is_secure() && cookie.is_host_only() && cookie.expires().is_some());
/// # Ok::<(), landline::cookie::CookieError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) domain: String,
    pub(super) host_only: bool,
    pub(super) path: String,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    /// The end, in seconds since 1970. `None`: the end of the session.
    pub(super) expires: Option<i64>,
}

impl Cookie {
    /// Returns the name. Upper and lower case differ.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value as the server wrote it: quotes and percent signs are part of it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns the host that the cookie is sent to, in lower case, with IDNA as ASCII, without a
    /// dot at either end.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns whether the cookie is sent to that host only, and to no host below it.
    #[must_use]
    pub fn is_host_only(&self) -> bool {
        self.host_only
    }

    /// Returns the path that the cookie is sent to. It is also sent to all paths below.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether the cookie is sent to `wss` and `https` URLs only.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns whether the server asked to hide the cookie from scripts. It makes no difference
    /// here.
    #[must_use]
    pub fn is_http_only(&self) -> bool {
        self.http_only
    }

    /// Returns when the cookie expires. `None` if it ends with the session, which is the life of
    /// its jar.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        let seconds = self.expires?;
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        if seconds < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) }
    }

    /// Returns a URL from which [`to_set_cookie`](Self::to_set_cookie) sets the cookie again, to
    /// keep it elsewhere.
    #[must_use]
    pub fn url(&self) -> String {
        // A secure URL may set every cookie, also one that is not secure.
        let path = if self.has_path_of_url() { &self.path } else { "" };
        format!("https://{}{path}/", self.domain)
    }

    /// Returns whether no `Path` can express the path. It came from the URL then.
    fn has_path_of_url(&self) -> bool {
        self.path.contains(';')
    }

    /// Returns the `Set-Cookie` value that sets the cookie. It includes the secret.
    #[must_use]
    pub fn to_set_cookie(&self) -> String {
        let Self { name, value, domain, path, .. } = self;
        let mut line = format!("{name}={value}");
        if !self.has_path_of_url() {
            line += "; Path=";
            line += path;
        }
        if !self.host_only {
            line += "; Domain=";
            line += domain;
        }
        if let Some(expires) = self.expires {
            line += "; Expires=";
            line += &date::format(expires);
        }
        line += if self.secure { "; Secure" } else { "" };
        line += if self.http_only { "; HttpOnly" } else { "" };
        line
    }

    /// Reads the value of a `Set-Cookie` from a server at `from`, and checks whether that server
    /// may set the cookie.
    pub(super) fn parse(
        from: &Place,
        line: &[u8],
        now: i64,
        is_public: &dyn Fn(&str) -> bool,
    ) -> Result<Self, CookieError> {
        let line = std::str::from_utf8(line).map_err(|_| CookieError::Malformed)?;
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').ok_or(CookieError::Malformed)?;
        let (name, value) = (trim(name), trim(value));
        if name.len() + value.len() > MAX_COOKIE {
            return Err(CookieError::TooLarge);
        }
        if name.is_empty() || !is_field_value(line) {
            return Err(CookieError::Malformed);
        }
        let attributes = Attributes::parse(attributes, now);
        let (domain, host_only) = match attributes.domain {
            None => (from.host.clone(), true),
            Some(domain) => from.scope(domain, is_public)?,
        };
        let path = attributes.path.unwrap_or_else(|| from.default_path());
        if path.len() > MAX_ATTRIBUTE {
            return Err(CookieError::TooLarge);
        }
        let Attributes { secure, http_only, .. } = attributes;
        if secure && !from.secure {
            return Err(CookieError::NotSecure);
        }
        let bound_to_host = attributes.domain.is_none() && attributes.path == Some("/");
        // RFC 6265bis section 5.4: servers may ignore the case of the prefix, so it is ignored
        // here.
        if begins_with(name, "__Secure-") && !secure
            || begins_with(name, "__Host-") && !(secure && bound_to_host)
        {
            return Err(CookieError::Prefix);
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain,
            host_only,
            path: path.to_owned(),
            secure,
            http_only,
            expires: attributes.max_age.or(attributes.expires),
        })
    }

    /// Returns whether the cookie is sent to `place` (RFC 6265 section 5.4).
    pub(super) fn goes_to(&self, place: &Place) -> bool {
        let domain =
            if self.host_only { self.domain == place.host } else { place.is_within(&self.domain) };
        domain && is_path_within(&place.path, &self.path) && (place.secure || !self.secure)
    }

    /// Returns whether one of the cookies replaces the other (RFC 6265bis section 5.7).
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }

    /// Returns whether a server at a URL that is not secure would hide this secure cookie by
    /// setting the other one (RFC 6265bis section 5.7).
    pub(super) fn is_overlaid_by(&self, other: &Self) -> bool {
        self.secure
            && self.name == other.name
            && (is_domain_within(&self.domain, &other.domain)
                || is_domain_within(&other.domain, &self.domain))
            && is_path_within(&other.path, &self.path)
    }

    pub(super) fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl fmt::Debug for Cookie {
    /// Leaves out the value, and the path, which may come from a URL with a token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("value", &format_args!("***"))
            .field("domain", &self.domain)
            .field("host_only", &self.host_only)
            .field("path", &format_args!("{}", if self.path == "/" { "/" } else { "***" }))
            .field("secure", &self.secure)
            .field("http_only", &self.http_only)
            .field("expires", &self.expires.map(date::format))
            .finish()
    }
}

/// Holds the attributes of a `Set-Cookie`. The last of repeated ones counts; unknown ones are
/// ignored.
#[derive(Default)]
struct Attributes<'a> {
    domain: Option<&'a str>,
    path: Option<&'a str>,
    max_age: Option<i64>,
    expires: Option<i64>,
    secure: bool,
    http_only: bool,
}

impl<'a> Attributes<'a> {
    fn parse(text: &'a str, now: i64) -> Self {
        let mut found = Self::default();
        for attribute in text.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (trim(name), trim(value));
            if value.len() > MAX_ATTRIBUTE {
                continue;
            }
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("Domain") {
                // RFC 6265bis section 5.6.3: an empty one stands for the host alone.
                found.domain = Some(value).filter(|domain| !domain.is_empty());
            } else if is("Path") {
                found.path = Some(value).filter(|path| path.starts_with('/'));
            } else if is("Max-Age") {
                found.max_age = max_age(value, now).or(found.max_age);
            } else if is("Expires") {
                let latest = now.saturating_add(MAX_AGE);
                let date = date::parse(value.as_bytes()).map(|date| date.min(latest));
                found.expires = date.or(found.expires);
            } else if is("Secure") {
                found.secure = true;
            } else if is("HttpOnly") {
                found.http_only = true;
            }
        }
        found
    }
}

/// Returns when a cookie with this `Max-Age` expires (RFC 6265 section 5.2.2). `None` if the text
/// is not a number.
fn max_age(text: &str, now: i64) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(i64::MIN);
    }
    // A number that is too large stands for the longest time.
    let seconds = digits.parse().unwrap_or(i64::MAX).min(MAX_AGE);
    Some(if seconds == 0 { i64::MIN } else { now.saturating_add(seconds) })
}

/// Removes white space, which in RFC 6265 section 5.2 is these two characters only.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Holds the parts of a URL that cookies need.
pub(super) struct Place {
    host: String,
    is_address: bool,
    path: String,
    secure: bool,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, CookieError> {
        let url = url::parse(url).map_err(|_| CookieError::Url)?;
        let secure = match url.scheme.as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(CookieError::Url),
        };
        let (host, is_address) = match &url.host {
            // A final dot, for the root of DNS, does not make another host.
            Host::Name(name) => (name.strip_suffix('.').unwrap_or(name).to_owned(), false),
            address => (address.to_string(), true),
        };
        if host.is_empty() {
            return Err(CookieError::Url);
        }
        Ok(Self { host, is_address, path: url.path().to_owned(), secure })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the folder of the path (RFC 6265 section 5.1.4).
    fn default_path(&self) -> &str {
        let end = self.path.rfind('/').unwrap_or(0);
        if end == 0 { "/" } else { &self.path[..end] }
    }

    /// Returns the domain of a cookie that a server here sets with the attribute `Domain`, and
    /// whether the cookie is for that host only.
    fn scope(
        &self,
        domain: &str,
        is_public: &dyn Fn(&str) -> bool,
    ) -> Result<(String, bool), CookieError> {
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if domain.contains('%') {
            return Err(CookieError::ForeignDomain); // Unlike the host of a URL, it is not decoded.
        }
        // The host of the URL was parsed in the same way, so the two can be compared.
        let domain = match url::parse_host(domain).ok_or(CookieError::ForeignDomain)? {
            Host::Name(name) => name,
            address => address.to_string(),
        };
        if domain == self.host {
            // A cookie of an address, or of a public suffix that is a host itself, is for that host
            // only.
            let alone = self.is_address || is_public(&domain);
            return Ok((domain, alone));
        }
        if !self.is_within(&domain) {
            return Err(CookieError::ForeignDomain);
        }
        if is_public(&domain) {
            return Err(CookieError::PublicSuffix);
        }
        Ok((domain, false))
    }

    /// Returns whether the host is `domain` or below it (RFC 6265 section 5.1.3).
    fn is_within(&self, domain: &str) -> bool {
        self.host == domain || !self.is_address && is_domain_within(&self.host, domain)
    }
}

/// Returns whether a name is a domain or below it.
fn is_domain_within(name: &str, domain: &str) -> bool {
    let above = name.strip_suffix(domain);
    above.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Returns whether a path is `above` or below it (RFC 6265 section 5.1.4).
fn is_path_within(path: &str, above: &str) -> bool {
    let below = path.strip_prefix(above);
    below.is_some_and(|below| below.is_empty() || above.ends_with('/') || below.starts_with('/'))
}

/// The longest name and value together, in bytes (RFC 6265 section 6.1).
const MAX_COOKIE: usize = 4096;
/// The longest value of an attribute, in bytes. A longer one is ignored (RFC 6265bis section 5.6),
/// and a longer path of a URL is refused.
const MAX_ATTRIBUTE: usize = 1024;
/// The longest time that a cookie is kept, in seconds: 400 days (RFC 6265bis section 5.5).
const MAX_AGE: i64 = 400 * 24 * 60 * 60;
/// Second levels of two-letter countries in which anybody can register a name: `co.uk`, `com.au`.
const SECOND_LEVELS: [&str; 16] = [
    "ac", "co", "com", "edu", "firm", "gen", "go", "gob", "gov", "ltd", "mil", "ne", "net", "nom",
    "or", "org",
];

/// Returns whether anybody can surely have a name in a domain: a single label, or one of the usual
/// second levels of a country. There are thousands of other such domains.
pub(super) fn is_plainly_public(domain: &str) -> bool {
    match domain.split_once('.') {
        None => true,
        Some((second, top)) => top.len() == 2 && SECOND_LEVELS.contains(&second),
    }
}
