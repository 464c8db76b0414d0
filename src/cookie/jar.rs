//! CookieJar: keeps the cookies of clients in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::CookieStore;
use super::set_cookie::{Cookie, CookieError, Place, is_plainly_public};
use crate::sync::{Mutex, MutexGuard};

/// Keeps cookies in memory, as a browser does (RFC 6265).
///
/// Any number of clients and threads may share a jar. The cookies are gone when the last of them
/// drops it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use landline::Builder;
/// use landline::cookie::CookieJar;
///
/// let jar = Arc::new(CookieJar::new());
/// // A login over HTTP gave this cookie.
/// jar.set("https://example.com/login", "session=5f3a; Secure; HttpOnly; Path=/")?;
/// let builder = Builder::new().cookie_store(jar.clone());
/// # let _ = builder;
/// # Ok::<(), landline::cookie::CookieError>(())
/// ```
///
/// To keep the cookies longer, store [`Cookie::url`] and [`Cookie::to_set_cookie`] of
/// [`all`](Self::all) cookies, in that order, and [`set`](Self::set) them again:
///
/// ```
/// # use landline::cookie::CookieJar;
/// # let jar = CookieJar::new();
/// let kept: Vec<_> =
///     jar.all().iter().map(|cookie| (cookie.url(), cookie.to_set_cookie())).collect();
/// let again = CookieJar::new();
/// for (url, line) in &kept {
///     again.set(url, line)?;
/// }
/// # Ok::<(), landline::cookie::CookieError>(())
/// ```
///
/// # Limits
///
/// | limit | beyond it |
/// |---|---|
/// | 4,096 bytes of name and value | the cookie is refused |
/// | 50 cookies of a domain | one of the domain is removed |
/// | 3,000 cookies in all | one of the site that has the most is removed |
/// | 8 KiB of `Cookie` in a request | the cookies that come last by path and age are left out |
/// | 400 days | the cookie expires |
///
/// A cookie without `Secure` is removed before one with it, and then the one that was used longest
/// ago.
///
/// # What is not checked
///
/// The [public suffix list](https://publicsuffix.org) is not built in. The jar refuses cookies for
/// a single label (`com`), and for the usual second levels of countries (`co.uk`, `com.au`). It
/// does not know the other domains in which anybody can have a name (`github.io`), so two customers
/// of such a domain can set cookies for each other. If you connect to hosts that do not trust their
/// neighbours, give a [list](Self::with_public_suffixes).
///
/// `SameSite` and `Partitioned` are ignored: there is no page that a request could come from.
#[derive(Default)]
pub struct CookieJar {
    kept: Mutex<Kept>,
    suffixes: Option<Box<Suffixes>>,
}

type Suffixes = dyn Fn(&str) -> bool + Send + Sync;

#[derive(Default)]
struct Kept {
    /// All cookies, in the order of their creation.
    cookies: Vec<Entry>,
    /// Counts the uses. The system's clock may jump, but this counter does not.
    uses: u64,
}

struct Entry {
    cookie: Cookie,
    /// The part of the cookie's domain that belongs to one owner, as far as the jar knows.
    site: String,
    /// The value of `Kept::uses` when the cookie was last used.
    used: u64,
}

impl CookieJar {
    /// Makes an empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty jar that also asks `is_public` whether anybody can have a name in a domain. A
    /// crate with the public suffix list can answer. The domain is in lower case, with IDNA as
    /// ASCII.
    #[must_use]
    pub fn with_public_suffixes(is_public: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { suffixes: Some(Box::new(is_public)), ..Self::default() }
    }

    /// Takes in a `Set-Cookie` value as if the server at `url` had just sent it. A cookie that has
    /// expired removes the one that it would replace.
    ///
    /// # Errors
    /// The reason why the cookie is not taken.
    pub fn set(&self, url: &str, set_cookie: &str) -> Result<(), CookieError> {
        self.set_at(url, set_cookie.as_bytes(), SystemTime::now())
    }

    /// Does the same as [`set`](Self::set), as if the time were `now`.
    ///
    /// # Errors
    /// The same as those of [`set`](Self::set).
    pub fn set_at(&self, url: &str, set_cookie: &[u8], now: SystemTime) -> Result<(), CookieError> {
        let (place, now) = (Place::parse(url)?, seconds(now));
        // The jar is not locked here: `is_public` may be the caller's code, which may use the jar.
        let cookie = Cookie::parse(&place, set_cookie, now, &|domain| self.is_public(domain))?;
        let site = site(&cookie.domain, |domain| self.is_public(domain)).to_owned();
        let mut kept = self.kept();
        kept.forget_expired(now);
        if !place.is_secure() && kept.cookies.iter().any(|old| old.cookie.is_overlaid_by(&cookie)) {
            return Err(CookieError::NotSecure);
        }
        kept.put(cookie, site, now);
        kept.keep_to_limits();
        Ok(())
    }

    /// Returns all cookies, the oldest first. Some may have expired since the jar was last used.
    #[must_use]
    pub fn all(&self) -> Vec<Cookie> {
        self.kept().cookies.iter().map(|entry| entry.cookie.clone()).collect()
    }

    /// Removes every cookie for which `keep` returns `false`.
    pub fn retain(&self, mut keep: impl FnMut(&Cookie) -> bool) {
        // The jar is not locked here: `keep` is the caller's code.
        let doomed: Vec<_> = self.all().into_iter().filter(|cookie| !keep(cookie)).collect();
        self.kept().cookies.retain(|entry| !doomed.contains(&entry.cookie));
    }

    /// Removes all cookies.
    pub fn clear(&self) {
        self.kept().cookies.clear();
    }

    fn is_public(&self, domain: &str) -> bool {
        is_plainly_public(domain)
            || self.suffixes.as_ref().is_some_and(|is_public| is_public(domain))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic of a caller's closure leaves the cookies as they are.
        self.kept.lock()
    }
}

impl CookieStore for CookieJar {
    fn store(&self, url: &str, set_cookies: &[&[u8]], now: SystemTime) {
        for line in set_cookies {
            // RFC 6265 section 5.3: a cookie that is refused is ignored.
            let _ = self.set_at(url, line, now);
        }
    }

    /// Returns the cookies with longer paths first, then the older ones (RFC 6265 section 5.4). A
    /// cookie that does not fit into 8 KiB is left out.
    fn cookies(&self, url: &str, now: SystemTime) -> Option<String> {
        let place = Place::parse(url).ok()?;
        let mut kept = self.kept();
        kept.forget_expired(seconds(now));
        kept.uses += 1;
        let uses = kept.uses;
        let mut entries: Vec<&mut Entry> =
            kept.cookies.iter_mut().filter(|entry| entry.cookie.goes_to(&place)).collect();
        entries.sort_by_key(|entry| Reverse(entry.cookie.path.len()));
        let mut line = String::new();
        for entry in entries {
            let Cookie { name, value, .. } = &entry.cookie;
            let separator = if line.is_empty() { "" } else { "; " };
            if line.len() + separator.len() + name.len() + 1 + value.len() > MAX_LINE {
                continue;
            }
            for part in [separator, name, "=", value] {
                line.push_str(part);
            }
            entry.used = uses;
        }
        Some(line).filter(|line| !line.is_empty())
    }
}

impl Kept {
    fn forget_expired(&mut self, now: i64) {
        self.cookies.retain(|entry| !entry.cookie.is_expired(now));
    }

    /// Adds a cookie. If it replaces another one, it takes the place of that one in the order.
    fn put(&mut self, cookie: Cookie, site: String, now: i64) {
        self.uses += 1;
        let entry = Entry { cookie, site, used: self.uses };
        let old = self.cookies.iter().position(|old| old.cookie.is_same(&entry.cookie));
        match (old, entry.cookie.is_expired(now)) {
            (Some(at), true) => drop(self.cookies.remove(at)),
            (Some(at), false) => self.cookies[at] = entry,
            (None, true) => {}
            (None, false) => self.cookies.push(entry),
        }
    }

    /// Removes a cookie if the domain of the newest one, or the jar, has too many.
    fn keep_to_limits(&mut self) {
        let Some(newest) = self.cookies.iter().max_by_key(|entry| entry.used) else { return };
        let domain = newest.cookie.domain.clone();
        let of_domain = |entry: &Entry| entry.cookie.domain == domain;
        if self.cookies.iter().filter(|entry| of_domain(entry)).count() > MAX_OF_DOMAIN {
            self.remove_one(of_domain);
        }
        if self.cookies.len() > MAX_IN_ALL {
            // The site with the most cookies loses one: a neighbour with many names cannot push out
            // the cookies of others.
            let mut sites: HashMap<&str, usize> = HashMap::new();
            for entry in &self.cookies {
                *sites.entry(&entry.site).or_default() += 1;
            }
            let most = sites.into_iter().max_by_key(|&(site, count)| (count, site));
            let Some((most, _)) = most else { return };
            let most = most.to_owned();
            self.remove_one(|entry| entry.site == most);
        }
    }

    /// Removes the cookie that was used longest ago, one that is not secure first (RFC 6265bis
    /// section 5.7).
    fn remove_one(&mut self, among: impl Fn(&Entry) -> bool) {
        let entries = self.cookies.iter().enumerate().filter(|(_, entry)| among(entry));
        let doomed = entries.min_by_key(|(_, entry)| (entry.cookie.secure, entry.used));
        if let Some((at, _)) = doomed {
            self.cookies.remove(at);
        }
    }
}

/// The greatest number of cookies of one domain (RFC 6265 section 6.1).
const MAX_OF_DOMAIN: usize = 50;
/// The greatest number of cookies in all (RFC 6265 section 6.1).
const MAX_IN_ALL: usize = 3000;
/// The greatest length of the value of `Cookie`, in bytes: about the longest header line that
/// servers take.
const MAX_LINE: usize = 8 * 1024;

/// Returns the public suffix of a domain and the label before it. For an address it returns some
/// part, the same each time.
fn site(domain: &str, is_public: impl Fn(&str) -> bool) -> &str {
    let mut above = domain.rmatch_indices('.').map(|(at, _)| &domain[at + 1..]);
    above.find(|suffix| !is_public(suffix)).unwrap_or(domain)
}

/// Returns the seconds since 1970, rounded towards the past. A time out of range is the first or
/// the last one.
fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            -seconds - i64::from(before.subsec_nanos() > 0)
        }
    }
}

impl fmt::Debug for CookieJar {
    /// Shows the cookies without their values, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_list().entries(kept.cookies.iter().map(|entry| &entry.cookie)).finish()
    }
}
