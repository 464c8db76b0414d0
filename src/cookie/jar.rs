//! The cookies of a client, in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::CookieStore;
use super::set_cookie::{Cookie, CookieError, Place, is_plainly_public};
use crate::sync::{Mutex, MutexGuard};

/// The most cookies of one domain (RFC 6265 section 6.1).
const MAX_OF_DOMAIN: usize = 50;
/// The most cookies in all (RFC 6265 section 6.1).
const MAX_IN_ALL: usize = 3000;
/// The most bytes of `Cookie`: as much as servers usually take of a header line.
const MAX_LINE: usize = 8 * 1024;

/// Cookies in memory, as a browser keeps them (RFC 6265): shared by as many clients and threads as
/// have it, gone when the last drops it.
///
/// ```
/// use std::sync::Arc;
/// use landline::Builder;
/// use landline::cookie::CookieJar;
///
/// let jar = Arc::new(CookieJar::new());
/// // What a login by other means gave.
/// jar.set("https://example.com/login", "session=5f3a; Secure; HttpOnly; Path=/")?;
/// let builder = Builder::new().cookie_store(jar.clone());
/// # let _ = builder;
/// # Ok::<(), landline::cookie::CookieError>(())
/// ```
///
/// To keep them longer, write [`Cookie::url`] and [`Cookie::to_set_cookie`] of each of
/// [`all`](Self::all) somewhere, in that order, and [`set`](Self::set) them again:
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
/// **Limits**: 4,096 bytes of name and value, 50 cookies of a domain, 3,000 in all, 8 KiB of
/// `Cookie` in a request. Cookies without `Secure` go first, then the ones used longest ago, of the
/// domain or of the site that has the most; of a request, the last by path and age. No cookie is kept for more than 400 days.
///
/// **What is not checked**: the [public suffix list](https://publicsuffix.org) is not built in.
/// Cookies for a single label (`com`) are refused, and for the usual second levels of countries
/// (`co.uk`, `com.au`); others that anybody can have a name in (`github.io`) are not known, so two
/// of their customers can set cookies for each other. If you connect to hosts that do not trust
/// their neighbours, give a [list](Self::with_public_suffixes). `SameSite` and `Partitioned` are
/// ignored: there is no page that a request could come from.
#[derive(Default)]
pub struct CookieJar {
    kept: Mutex<Kept>,
    suffixes: Option<Box<Suffixes>>,
}

type Suffixes = dyn Fn(&str) -> bool + Send + Sync;

#[derive(Default)]
struct Kept {
    /// In the order of their creation.
    cookies: Vec<Entry>,
    /// Counts the uses. The clock of the wall may jump; this does not.
    uses: u64,
}

struct Entry {
    cookie: Cookie,
    /// The part of its domain that one owner has, as far as that is known.
    site: String,
    used: u64,
}

impl CookieJar {
    /// An empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty jar that also asks this whether anybody can have a name in a domain (lower case,
    /// IDNA as ASCII). A crate with the public suffix list can answer.
    #[must_use]
    pub fn with_public_suffixes(is_public: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { suffixes: Some(Box::new(is_public)), ..Self::default() }
    }

    /// Takes in a `Set-Cookie` value as if the server at `url` had just sent it. One that has
    /// expired removes the cookie that it would replace.
    ///
    /// # Errors
    /// The reason why it is not taken.
    pub fn set(&self, url: &str, set_cookie: &str) -> Result<(), CookieError> {
        self.set_at(url, set_cookie.as_bytes(), SystemTime::now())
    }

    /// As [`set`](Self::set), at another time.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_at(&self, url: &str, set_cookie: &[u8], now: SystemTime) -> Result<(), CookieError> {
        let (place, now) = (Place::parse(url)?, seconds(now));
        // The jar is not locked while a caller's code runs, which may use it.
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

    /// All cookies, the oldest first. Some may have expired since the jar was last used.
    #[must_use]
    pub fn all(&self) -> Vec<Cookie> {
        self.kept().cookies.iter().map(|entry| entry.cookie.clone()).collect()
    }

    /// Removes every cookie that this does not want to keep.
    pub fn retain(&self, mut keep: impl FnMut(&Cookie) -> bool) {
        // Not locked here either.
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
            // RFC 6265 section 5.3: a cookie that is not taken is ignored.
            let _ = self.set_at(url, line, now);
        }
    }

    /// RFC 6265 section 5.4: those with longer paths first, then the older ones; what does not fit
    /// into 8 KiB is left out.
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

    /// A cookie that is replaced leaves its place in the order to the new one.
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

    /// After one cookie came: removes one if its domain, or the jar, has too many.
    fn keep_to_limits(&mut self) {
        let Some(newest) = self.cookies.iter().max_by_key(|entry| entry.used) else { return };
        let domain = newest.cookie.domain.clone();
        let of_domain = |entry: &Entry| entry.cookie.domain == domain;
        if self.cookies.iter().filter(|entry| of_domain(entry)).count() > MAX_OF_DOMAIN {
            self.remove_one(of_domain);
        }
        if self.cookies.len() > MAX_IN_ALL {
            // The site with the most pays: neighbours under many names cannot push out others.
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

    /// RFC 6265bis section 5.7: those that are not secure first, then those used longest ago.
    fn remove_one(&mut self, among: impl Fn(&Entry) -> bool) {
        let entries = self.cookies.iter().enumerate().filter(|(_, entry)| among(entry));
        let doomed = entries.min_by_key(|(_, entry)| (entry.cookie.secure, entry.used));
        if let Some((at, _)) = doomed {
            self.cookies.remove(at);
        }
    }
}

/// The public suffix of a domain and a label before it. Of an address, something that is the same
/// each time.
fn site(domain: &str, is_public: impl Fn(&str) -> bool) -> &str {
    let mut above = domain.rmatch_indices('.').map(|(at, _)| &domain[at + 1..]);
    above.find(|suffix| !is_public(suffix)).unwrap_or(domain)
}

/// Seconds since 1970, rounded towards the past; what does not fit is the end of time.
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
    /// Without the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_list().entries(kept.cookies.iter().map(|entry| &entry.cookie)).finish()
    }
}
