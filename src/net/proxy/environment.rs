//! The proxy that environment variables name. They were written for other programs, and are read as
//! those programs read them.

use std::env;
use std::ffi::OsString;

use url::Url;

use super::no_proxy::NoProxy;
use super::{Proxy, lacks_slash};
use crate::error::{Error, InvalidInput};
use crate::log::{exception_skipped, proxy_skipped};
use crate::net::url::ServerUrl;

/// The environment.
impl Proxy {
    /// Returns the proxy that the environment names for this `ws://` or `wss://` URL, if any: see
    /// [`Builder::proxy`](crate::Builder::proxy).
    ///
    /// # Errors
    /// [`InvalidInput::Url`] as for connecting. [`InvalidInput::Proxy`] if a variable names a
    /// proxy that cannot be used: with credentials that it cannot be given, or by `https` without
    /// the feature `tls`. It is not gone around.
    pub fn from_environment(url: &str) -> Result<Option<Self>, Error> {
        Ok(proxy_for(&ServerUrl::parse(url)?)?)
    }

    /// Does the same as [`from_environment`](Self::from_environment) with variables that are kept
    /// elsewhere: `variable` is asked for the value of each name.
    ///
    /// ```
    /// use landline::proxy::Proxy;
    ///
    /// let settings = |name: &str| match name {
    ///     "all_proxy" => Some("socks://proxy.example:1080/".into()),
    ///     "no_proxy" => Some("127.*, /var/run/docker.sock, .internal.example".into()),
    ///     _ => None,
    /// };
    /// let proxy = Proxy::from_variables("wss://example.com/", settings)?.unwrap();
    /// assert_eq!(proxy.to_string(), "socks5h://proxy.example:1080");
    /// assert!(Proxy::from_variables("wss://db.internal.example/", settings)?.is_none());
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn from_variables(
        url: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, Error> {
        Ok(named_by(variable, &ServerUrl::parse(url)?)?)
    }
}

/// Returns the proxy that the environment names now for `server`.
pub(super) fn proxy_for(server: &ServerUrl) -> Result<Option<Proxy>, InvalidInput> {
    named_by(|name| env::var_os(name), server)
}

/// Returns the proxy that the variables name for `server`.
fn named_by(
    variable: impl Fn(&str) -> Option<OsString>,
    server: &ServerUrl,
) -> Result<Option<Proxy>, InvalidInput> {
    // The exceptions come first: a broken proxy does not matter to a server that is excepted.
    let mut except = NoProxy::loopback();
    let list = ["no_proxy", "NO_PROXY"].into_iter().find_map(|name| Some((name, variable(name)?)));
    if let Some((name, list)) = list {
        // What is not UTF-8 spoils only the entry that it stands in.
        let list = list.to_string_lossy();
        except.extend(NoProxy::understood(&list, |at| exception_skipped(name, at)));
    }
    if except.matches(&server.host, server.port) {
        return Ok(None);
    }
    // The client of a CGI program sets HTTP_PROXY by a header that it sends.
    let is_cgi = variable("REQUEST_METHOD").is_some();
    let names = match server.secure {
        true => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    for name in names.into_iter().filter(|name| !is_cgi || !is_http_proxy(name)) {
        let Some(value) = variable(name) else { continue };
        if value.to_str().is_some_and(|value| value.trim().is_empty()) {
            return Ok(None);
        }
        let Some((proxy, url)) = value.to_str().and_then(understood) else {
            proxy_skipped(name);
            continue;
        };
        let proxy = proxy.with_credentials_of(&url).map_err(|why| match why {
            InvalidInput::Proxy(why) => InvalidInput::Proxy(format!("{name}: {why}").into()),
            why => why,
        })?;
        return Ok(Some(Proxy { except, ..proxy }));
    }
    Ok(None)
}

/// Reads the value of a variable, which was written for other programs: a path after the port
/// is left out, and `socks` is SOCKS 5. `None` if it names no proxy.
fn understood(value: &str) -> Option<(Proxy, Url)> {
    let value = value.trim();
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    // A password with a slash in it: what stands before the slash is not the host.
    let is_cut_password = path.contains('@');
    if is_cut_password || lacks_slash(value) {
        return None;
    }
    // Names are looked up by the proxy, as in GNOME, which writes this: none leaks from here.
    let scheme = if scheme.eq_ignore_ascii_case("socks") { "socks5h" } else { scheme };
    Proxy::locate(&format!("{scheme}://{place}")).ok()
}

/// Whether asking for the variable `name` gives `HTTP_PROXY`: on Windows case does not matter.
fn is_http_proxy(name: &str) -> bool {
    name == "HTTP_PROXY" || cfg!(windows) && name.eq_ignore_ascii_case("HTTP_PROXY")
}
