//! Reads ordinary URLs (RFC 3986), and refuses unusual ones, which other programs may read in
//! another way. What is read here has the same meaning in the URL Standard: the fuzz target
//! `strict_url` compares the two.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::parts::{Host, Url};

/// Reads a URL. The error never quotes it, because it may hold a password.
pub(crate) fn parse(text: &str) -> Result<Url, Box<str>> {
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return Err("it has a space or a control character".into());
    }
    // Looking for a string would take more code than looking for characters does.
    let parts = text.split_once(':').and_then(|(scheme, rest)| {
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        is_scheme.then_some((scheme, rest.strip_prefix("//")?))
    });
    let (scheme, rest) = parts.ok_or("it does not begin with ws:// or wss://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (rest, has_fragment) = match rest.split_once('#') {
        Some((rest, _)) => (rest, true),
        None => (rest, false),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if rest.contains('\\') {
        return Err("it has a backslash before the query".into());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (credentials, place) = match authority.rsplit_once('@') {
        Some((userinfo, place)) => {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            (Some((user.to_owned(), password.to_owned())), place)
        }
        None => (None, authority),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, read_port(port)?),
        _ => (place, None),
    };
    let default = match scheme.as_str() {
        "ws" | "http" => Some(80),
        "wss" | "https" => Some(443),
        _ => None,
    };
    let mut resource = String::with_capacity(path.len() + 1);
    put_path(&mut resource, path)?;
    if let Some(query) = query {
        resource.push('?');
        put_encoded(&mut resource, query, b"\"<>'");
    }
    Ok(Url {
        scheme,
        credentials: credentials.filter(|(user, password)| user.len() + password.len() > 0),
        host: read_host(host)?,
        port: port.filter(|_| port != default),
        resource,
        has_fragment,
    })
}

/// Reads the host of a URL.
pub(crate) fn parse_host(text: &str) -> Option<Host> {
    read_host(text).ok()
}

fn read_host(text: &str) -> Result<Host, &'static str> {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let address = address.parse::<Ipv6Addr>();
        return Ok(Host::Address(IpAddr::V6(address.map_err(|_| "the host is no IPv6 address")?)));
    }
    if text.is_empty() {
        return Err("it has no host");
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err("the host has characters other than a-z, 0-9, \"-\", \"_\" and \".\"; \
                    such hosts may need the feature \"url\"");
    }
    let name = text.to_ascii_lowercase();
    if name.split('.').any(|label| label.starts_with("xn--")) {
        return Err("the host has a label \"xn--\", which needs the feature \"url\"");
    }
    // The URL Standard takes a host for an IPv4 address if its last label is a number.
    let last = name.strip_suffix('.').unwrap_or(&name).rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        let why = "the host ends in a number, but is not four numbers from 0 to 255; \
                   other forms may need the feature \"url\"";
        return Ok(Host::Address(IpAddr::V4(name.parse::<Ipv4Addr>().map_err(|_| why)?)));
    }
    Ok(Host::Name(name))
}

/// Reads a port, which may be empty.
fn read_port(text: &str) -> Result<Option<u16>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.map(Some).ok_or("the port is not a number from 1 to 65535")
}

/// Appends a path without its dot segments (RFC 3986 section 5.2.4).
fn put_path(out: &mut String, path: &str) -> Result<(), &'static str> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_any = |forms: &[&str]| forms.iter().any(|form| form.eq_ignore_ascii_case(segment));
        let is_double = is_any(&["..", ".%2e", "%2e.", "%2e%2e"]);
        if is_double {
            let start = out.rfind('/').unwrap_or(0);
            // The crate `url` keeps a segment that could be a drive of Windows.
            if let [b'/', letter, b':' | b'|'] = &out.as_bytes()[start..] {
                if letter.is_ascii_alphabetic() {
                    return Err("the path has \"..\" after a drive letter");
                }
            }
            out.truncate(start);
        }
        if !is_double && !is_any(&[".", "%2e"]) {
            out.push('/');
            put_encoded(out, segment, b"\"<>`{}");
        } else if segments.peek().is_none() {
            out.push('/');
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(())
}

/// Appends text, in which `special` bytes and those outside of ASCII are percent-encoded.
fn put_encoded(out: &mut String, text: &str, special: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii() && !special.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}
