//! Cookies (RFC 6265, with what its successor, draft-ietf-httpbis-rfc6265bis, made stricter).

mod jar;
mod set_cookie;

use std::time::SystemTime;

pub use jar::CookieJar;
pub use set_cookie::{Cookie, CookieError};

/// Where cookies are kept, and which are sent: a [`CookieJar`], or something of your own, around
/// one or not. Given to [`Builder::cookie_store`](crate::Builder::cookie_store); one store may
/// serve many clients and threads at once.
///
/// `url` is always a `ws` or `wss` URL without user, password and fragment. After a redirect it is
/// the URL of the request that was redirected to.
pub trait CookieStore: Send + Sync {
    /// Takes in the `Set-Cookie` lines of an answer from `url`, in their order, one or more.
    fn store(&self, url: &str, set_cookies: &[&[u8]], now: SystemTime);

    /// The value of `Cookie` for a request to `url`, as in `a=1; b=2`; `None` if there is none.
    fn cookies(&self, url: &str, now: SystemTime) -> Option<String>;
}
