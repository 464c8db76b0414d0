//! Redirects: the URL that a request is for, and the headers that may be sent there.

use crate::error::Error;
use crate::error::HandshakeProblem::{self, BadRedirect, InsecureRedirect, TooManyRedirects};
use crate::net::tls;
use crate::net::url::ServerUrl;
use crate::proto::http::Response;
use crate::proto::location::{self, BadLocation};

/// Describes the request of one connection attempt to a function of
/// [`Builder::headers_with`](crate::Builder::headers_with). The request is for the URL that was
/// given, or for one that a server redirected to.
///
/// # Examples
///
/// ```
/// # fn signature_of(url: &str) -> String { url.len().to_string() }
/// let builder = landline::Builder::new().headers_with(|request| {
///     // A signature over the URL, computed for each request.
///     Ok(vec![("X-Signature".to_owned(), signature_of(request.url()))])
/// });
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct RequestContext {
    pub(crate) server: ServerUrl,
    redirects: u32,
    is_first_origin: bool,
}

impl RequestContext {
    /// Returns the context of the first request, for the URL that was given.
    pub(crate) fn first(url: &str) -> Result<Self, Error> {
        Ok(Self { server: ServerUrl::parse(url)?, redirects: 0, is_first_origin: true })
    }

    /// Returns the context of the request that the server redirects to. Fails after `max`
    /// redirects.
    pub(crate) fn next(
        &self,
        response: Option<&Response>,
        max: u32,
    ) -> Result<Self, HandshakeProblem> {
        if self.redirects >= max {
            return Err(TooManyRedirects);
        }
        let mut locations = response.ok_or(BadRedirect)?.headers().all("Location");
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return Err(BadRedirect);
        };
        let url = location::resolve(&self.server.url, location).map_err(|error| match error {
            BadLocation::Insecure => InsecureRedirect,
            BadLocation::Invalid => BadRedirect,
        })?;
        let mut server = ServerUrl::parse(&url).map_err(|_| BadRedirect)?;
        // Credentials stay away after a redirect to another origin, also when one leads back.
        let is_first_origin = self.is_first_origin && server.is_same_origin(&self.server);
        if is_first_origin {
            server.credentials = self.server.credentials.clone();
        }
        if !is_first_origin && server.secure && !tls::can_name(&server.host) {
            return Err(BadRedirect);
        }
        Ok(Self { server, redirects: self.redirects + 1, is_first_origin })
    }

    /// Returns the URL: `ws` or `wss`, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Returns the number of redirects that led here; 0 for the URL that was given.
    #[must_use]
    pub fn redirects(&self) -> u32 {
        self.redirects
    }

    /// Returns `true` if no redirect has left the origin of the URL that was given: its scheme,
    /// host and port. If one has, credentials and most headers are not sent any more, also after a
    /// redirect back; see [`Builder::max_redirects`](crate::Builder::max_redirects).
    #[must_use]
    pub fn is_first_origin(&self) -> bool {
        self.is_first_origin
    }
}

impl std::fmt::Debug for RequestContext {
    /// Shows the origin only, because path and query may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestContext")
            .field("origin", &self.server.origin())
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}

/// Returns `true` for the statuses of RFC 9110 section 15.4 that have a `Location` to follow.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Returns `true` for a header that holds no secret, and may go to another origin.
pub(crate) fn is_harmless(name: &str) -> bool {
    ["Accept", "Accept-Language", "Origin", "User-Agent"]
        .iter()
        .any(|harmless| name.eq_ignore_ascii_case(harmless))
}
