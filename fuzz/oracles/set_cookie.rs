//! Any cookies of servers, in any order: a cookie is sent where a small model of RFC 6265 says
//! (with the additions of RFC 6265bis), in the order of the model, and nowhere else. A jar that was
//! written down and read again sends the same.
//!
//! Input: lines. The first byte of a line chooses the URL that sets the cookie, the second moves
//! the clock, the rest is the value of `Set-Cookie`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landline::cookie::{CookieJar, CookieStore};
use landline::proto::date;

/// The servers: URL, host, path, and whether the URL is secure.
const PLACES: &[(&str, &str, &str, bool)] = &[
    ("ws://one.example/", "one.example", "/", false),
    ("wss://one.example", "one.example", "/", true),
    ("ws://a.one.example/x/y?z=/q/", "a.one.example", "/x/y", false),
    ("wss://a.one.example:81/x/", "a.one.example", "/x/", true),
    ("ws://two.example/x", "two.example", "/x", false),
    ("wss://ONE.co.uk/xy/z", "one.co.uk", "/xy/z", true),
    ("ws://co.uk/", "co.uk", "/", false),
    ("ws://127.0.0.1/", "127.0.0.1", "/", false),
    ("wss://2.127.0.0.1.example/", "2.127.0.0.1.example", "/", true),
    ("ws://localhost/x/y/z", "localhost", "/x/y/z", false),
    ("wss://evilone.example/x", "evilone.example", "/x", true),
    ("http://one.example./x/y/z", "one.example", "/x/y/z", false),
    // A path that looks like attributes.
    (
        "wss://a.one.example/x;Domain=one.example;Path=/;/y",
        "a.one.example",
        "/x;Domain=one.example;Path=/;/y",
        true,
    ),
];

pub fn check(data: &[u8]) {
    let (jar, mut model) = (CookieJar::new(), Vec::new());
    let (mut now, mut latest): (i64, i64) = (1_700_000_000, 0);
    // The lines are so few and so short that no limit is reached.
    for line in data.split(|&byte| byte == b'\n').take(30) {
        let [place, step, line @ ..] = line else { continue };
        let line = &line[..line.len().min(200)];
        let place = PLACES[usize::from(*place) % PLACES.len()];
        now += i64::from(i8::from_ne_bytes([*step])) * 10;
        let Some(taken) = set(&mut model, place, line, now) else {
            // The clock moves for the jar too.
            let _ = jar.cookies(place.0, time(now));
            continue;
        };
        let result = jar.set_at(place.0, line, time(now));
        super::note(&(&result, jar.all()));
        let shown = String::from_utf8_lossy(line);
        assert_eq!(result.is_ok(), taken, "{shown:?} of {}: {result:?}", place.0);

        let again = CookieJar::new();
        for cookie in jar.all() {
            let (url, line) = (cookie.url(), cookie.to_set_cookie());
            again.set_at(&url, line.as_bytes(), time(now)).expect(&line);
        }
        for place in PLACES {
            let expected = sent(&mut model, *place, now);
            assert_eq!(jar.cookies(place.0, time(now)), expected, "{} after {shown:?}", place.0);
            assert_eq!(again.cookies(place.0, time(now)), expected, "{}, read again", place.0);
        }
        // If the clock was moved back, the latest expiry that is allowed is earlier than before.
        latest = latest.max(now);
        assert!(now < latest || again.all() == jar.all(), "{again:?} is not {jar:?}");
    }
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

type Place = (&'static str, &'static str, &'static str, bool);

#[derive(Clone, Debug, Default)]
struct Cookie {
    pair: String,
    name: String,
    domain: String,
    alone: bool,
    path: String,
    secure: bool,
    expires: Option<i64>,
}

fn below(name: &str, domain: &str) -> bool {
    name == domain || name.ends_with(&format!(".{domain}"))
}

fn path_below(path: &str, above: &str) -> bool {
    path == above
        || path.starts_with(&format!("{}/", above.trim_end_matches('/')))
            && (!above.ends_with("//") || path.starts_with(above))
}

/// Returns whether the cookie is accepted; `None` if the model does not know.
fn set(model: &mut Vec<Cookie>, place: Place, line: &[u8], now: i64) -> Option<bool> {
    let (_, host, url_path, secure_place) = place;
    model.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
    let Ok(line) = std::str::from_utf8(line) else { return Some(false) };
    let mut parts = line.split(';').map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']))
    });
    let (name, value) = parts.next()?;
    let mut cookie = Cookie {
        pair: format!("{name}={value}"),
        name: name.to_owned(),
        domain: host.to_owned(),
        alone: true,
        ..Cookie::default()
    };
    let (mut domain, mut path, mut age, mut date) = ("", "", None, None);
    for (name, value) in parts {
        match &*name.to_ascii_lowercase() {
            "domain" => domain = value,
            "path" => path = value,
            "secure" => cookie.secure = true,
            "max-age" => {
                let number = value.strip_prefix('-').unwrap_or(value);
                if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
                    age =
                        Some(value.parse().unwrap_or(if number == value { i64::MAX } else { -1 }));
                }
            }
            "expires" => date = date::parse(value.as_bytes()).or(date),
            _ => {}
        }
    }
    let control = line.chars().any(|c| c != '\t' && (c < ' ' || c == '\x7f'));
    if control || name.is_empty() || !line.split(';').next()?.contains('=') {
        return Some(false);
    }
    let has_domain = !domain.is_empty();
    if has_domain {
        let lower = domain.to_ascii_lowercase();
        let lower = lower.strip_prefix('.').unwrap_or(&lower);
        let lower = lower.strip_suffix('.').unwrap_or(lower);
        let spelled_plainly = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let last = lower.rsplit('.').next()?;
        let like_an_address =
            last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
        if !lower.bytes().all(spelled_plainly) || like_an_address && lower != "127.0.0.1" {
            return None;
        }
        let public = !lower.contains('.') || lower == "co.uk";
        let address = host == "127.0.0.1";
        if lower.is_empty() || lower != host && (address || public || !below(host, lower)) {
            return Some(false);
        }
        cookie.alone = public || address;
        cookie.domain = lower.to_owned();
    }
    cookie.path = if path.starts_with('/') {
        path.to_owned()
    } else {
        let folder = url_path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.is_empty() { "/".to_owned() } else { folder.to_owned() }
    };
    if cookie.secure && !secure_place {
        return Some(false);
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !cookie.secure
        || lower.starts_with("__host-") && !(cookie.secure && !has_domain && path == "/")
    {
        return Some(false);
    }
    let hidden = |old: &&Cookie| {
        let related = below(&old.domain, &cookie.domain) || below(&cookie.domain, &old.domain);
        old.secure && old.name == name && related && path_below(&cookie.path, &old.path)
    };
    if !secure_place && model.iter().any(|old| hidden(&old)) {
        return Some(false);
    }
    const MOST: i64 = 400 * 24 * 60 * 60;
    cookie.expires = match (age, date) {
        (Some(age), _) if age <= 0 => Some(now),
        (Some(age), _) => Some(now + age.min(MOST)),
        (None, date) => date.map(|date| date.min(now + MOST)),
    };
    let key = |cookie: &Cookie| {
        (cookie.name.clone(), cookie.domain.clone(), cookie.alone, cookie.path.clone())
    };
    let gone = cookie.expires.is_some_and(|expires| expires <= now);
    match model.iter().position(|old| key(old) == key(&cookie)) {
        Some(at) if gone => drop(model.remove(at)),
        Some(at) => model[at] = cookie,
        None if gone => {}
        None => model.push(cookie),
    }
    Some(true)
}

fn sent(model: &mut Vec<Cookie>, place: Place, now: i64) -> Option<String> {
    let (_, host, path, secure) = place;
    model.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
    let mut cookies: Vec<&Cookie> = model
        .iter()
        .filter(
            |cookie| if cookie.alone { host == cookie.domain } else { below(host, &cookie.domain) },
        )
        .filter(|cookie| path_below(path, &cookie.path) && (secure || !cookie.secure))
        .collect();
    cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    let pairs: Vec<&str> = cookies.iter().map(|cookie| cookie.pair.as_str()).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}
