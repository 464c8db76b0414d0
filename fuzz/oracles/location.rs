//! Any redirect of a server: the result is a `ws` or `wss` URL without user and password, and
//! without anything that could break a request line. It never leads from `wss` to `ws`. To resolve
//! it again changes nothing. Plain references lead where RFC 3986 section 5.2 says.
//!
//! Input: the length of the base in one byte, the base, the location.

use landline::proto::location::{BadLocation, resolve};

use super::split;

pub fn check(data: &[u8]) {
    let (base, location) = split(data);
    if let Ok(base) = std::str::from_utf8(base) {
        anywhere(base, location);
    }
    for base in ["ws://one.example/a/b/c?d", "wss://one.example:8443", "wss://[::1]/a/./b/"] {
        anywhere(base, location);
        if let Some(path) = plain(location) {
            let (scheme_and_host, rest) =
                base.split_at(base[6..].find('/').map_or(base.len(), |at| at + 6));
            let expected = format!("{scheme_and_host}{}", model(rest, path));
            assert_eq!(resolve(base, location), Ok(expected), "{path:?} of {base}");
        }
    }
}

fn anywhere(base: &str, location: &[u8]) {
    let begins = |text: &[u8], start: &str| {
        text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
    };
    let resolved = resolve(base, location);
    super::note(&resolved);
    match resolved {
        Ok(url) => {
            let (scheme, rest) = url.split_once("://").unwrap();
            assert!(scheme == "wss" || scheme == "ws", "{url}");
            assert!(
                scheme == "wss" || !begins(base.trim().as_bytes(), "wss:"),
                "a downgrade: {url}"
            );
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{url}");
            let authority = rest.split(['/', '?']).next().unwrap();
            assert!(!authority.is_empty() && !authority.contains(['@', '\\']), "{url}");
            assert_eq!(rest.as_bytes().get(authority.len()), Some(&b'/'), "{url}");
            // A backslash in the base's query stays; in a location it is refused.
            for base in [base, &url].into_iter().filter(|_| !url.contains('\\')) {
                assert_eq!(resolve(base, url.as_bytes()).as_ref(), Ok(&url));
            }
        }
        Err(BadLocation::Insecure) => {
            assert!(begins(location, "ws:") || begins(location, "http:"), "{location:?}");
        }
        Err(_) => assert!(plain(location).is_none() || resolve(base, b"/").is_err()),
    }
}

/// Returns a location that is a path, perhaps with a query, in which nothing must be escaped.
fn plain(location: &[u8]) -> Option<&str> {
    let location = std::str::from_utf8(location).ok().filter(|text| !text.is_empty())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.?&=-_~".contains(&byte);
    (location.bytes().all(plain) && !location.starts_with("//")).then_some(location)
}

/// Resolves a reference without scheme and host, as RFC 3986 section 5.2.2 says.
fn model(base: &str, reference: &str) -> String {
    let base_path = base.split('?').next().unwrap();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (reference, String::new()),
    };
    let merged = if path.is_empty() {
        base_path.to_owned()
    } else if path.starts_with('/') {
        path.to_owned()
    } else {
        // Section 5.2.3: all of the base up to its last slash.
        format!("{}/{path}", base_path.rsplit_once('/').map_or("", |(folder, _)| folder))
    };
    // Section 5.2.4.
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = merged.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}
