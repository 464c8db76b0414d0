//! Keeps cookies (RFC 6265, with the stricter rules of its successor,
//! draft-ietf-httpbis-rfc6265bis).
//!
//! The guide [`http`](crate::guide::http) says which cookies are sent where.

mod jar;
mod set_cookie;

use std::time::SystemTime;

pub use jar::CookieJar;
pub use set_cookie::{Cookie, CookieError};

/// Keeps the cookies that servers set, and decides which are sent: a [`CookieJar`], or a type of
/// your own, around a jar or not.
///
/// Give it to [`Builder::cookie_store`](crate::Builder::cookie_store). One store may serve many
/// clients and threads at once.
///
/// `url` is always a `ws` or `wss` URL without user, password and fragment. After a redirect it is
/// the URL that the server redirected to.
///
/// # Examples
///
/// A store that takes cookies from one host only:
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use landline::Builder;
/// use landline::cookie::{CookieJar, CookieStore};
///
/// struct OnlyOurs(CookieJar);
///
/// impl CookieStore for OnlyOurs {
///     fn store(&self, url: &str, set_cookies: &[&[u8]], now: SystemTime) {
///         if url.starts_with("wss://example.com/") {
///             self.0.store(url, set_cookies, now);
///         }
///     }
///
///     fn cookies(&self, url: &str, now: SystemTime) -> Option<String> {
///         self.0.cookies(url, now)
///     }
/// }
///
/// let builder = Builder::new().cookie_store(Arc::new(OnlyOurs(CookieJar::new())));
/// # let _ = builder;
/// ```
pub trait CookieStore: Send + Sync {
    /// Takes in the values of the `Set-Cookie` lines of an answer from `url`, in their order. There
    /// is at least one.
    fn store(&self, url: &str, set_cookies: &[&[u8]], now: SystemTime);

    /// Returns the value of `Cookie` for a request to `url`, such as `a=1; b=2`. `None` sends none.
    fn cookies(&self, url: &str, now: SystemTime) -> Option<String>;
}
