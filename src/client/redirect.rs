//! Where connecting has got to: the URL that was given, or one that a server redirected to.

use crate::error::{Error, HandshakeProblem};
#[cfg(feature = "tls")]
use crate::net::tls::options as tls;
use crate::net::url::ServerUrl;
use crate::proto::http::Response;
use crate::proto::location::{self, BadLocation};

/// One connection attempt, as [`Builder::headers_with`](crate::Builder::headers_with) sees it: to
/// the URL that was given, or to the one that a server redirected to.
#[derive(Clone)]
pub struct Hop {
    pub(crate) server: ServerUrl,
    redirects: u32,
    at_home: bool,
}

impl Hop {
    pub(crate) fn first(url: &str) -> Result<Self, Error> {
        Ok(Self { server: ServerUrl::parse(url)?, redirects: 0, at_home: true })
    }

    /// Where the server sends us on; no further than `max` times.
    pub(crate) fn next(
        &self,
        response: Option<&Response>,
        max: u32,
    ) -> Result<Self, HandshakeProblem> {
        if self.redirects >= max {
            return Err(HandshakeProblem::TooManyRedirects);
        }
        let bad = HandshakeProblem::BadRedirect;
        let mut locations = response.ok_or(bad)?.headers().all("Location");
        let (Some(location), None) = (locations.next(), locations.next()) else { return Err(bad) };
        let url = location::resolve(&self.server.url, location).map_err(|error| match error {
            BadLocation::Insecure => HandshakeProblem::InsecureRedirect,
            BadLocation::Invalid => bad,
        })?;
        let mut server = ServerUrl::parse(&url).map_err(|_| bad)?;
        // What was dropped on the way is not taken up again on coming back.
        let at_home = self.at_home && server.is_same_origin(&self.server);
        if at_home {
            server.credentials = self.server.credentials.clone();
        }
        #[cfg(feature = "tls")]
        if !at_home && server.secure && tls::server_name(&server.host).is_none() {
            return Err(bad);
        }
        Ok(Self { server, redirects: self.redirects + 1, at_home })
    }

    /// The URL: `ws` or `wss`, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// How many redirects led here; 0 for the URL that was given.
    #[must_use]
    pub fn redirects(&self) -> u32 {
        self.redirects
    }

    /// Whether no redirect has left the origin of the URL that was given: its scheme, host and
    /// port. If one has, credentials and most headers are not sent any more, on coming back
    /// neither; see [`Builder::max_redirects`](crate::Builder::max_redirects).
    #[must_use]
    pub fn is_first_origin(&self) -> bool {
        self.at_home
    }
}

impl std::fmt::Debug for Hop {
    /// The origin only: path and query may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hop")
            .field("origin", &self.server.origin())
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}

/// Whether a header may go to a server that the caller does not know: it holds no secret.
pub(crate) fn is_harmless(name: &str) -> bool {
    ["Accept", "Accept-Language", "Origin", "User-Agent"]
        .iter()
        .any(|harmless| name.eq_ignore_ascii_case(harmless))
}
