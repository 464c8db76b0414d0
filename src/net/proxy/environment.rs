//! The proxy that environment variables name. The variables were written for other programs, so
//! they are read as those programs read them.

use std::env;
use std::ffi::OsString;

use super::no_proxy::NoProxy;
use super::{Proxy, lacks_slash};
use crate::error::{Error, InvalidInput};
use crate::log::{exception_skipped, proxy_skipped};
use crate::net::url::ServerUrl;
use crate::proto::url::Url;

/// The environment.
impl Proxy {
    /// Returns the proxy that the environment names for this `ws://` or `wss://` URL, if any: see
    /// [`Builder::proxy`](crate::Builder::proxy).
    ///
    /// # Errors
    /// [`InvalidInput::Url`], as when connecting. [`InvalidInput::Proxy`] if the proxy that a
    /// variable names cannot be used: its credentials cannot be sent by its protocol, or its scheme
    /// is `https` and the feature `tls-core` is off. landline does not connect directly then.
    pub fn from_environment(url: &str) -> Result<Option<Self>, Error> {
        Ok(proxy_for(&ServerUrl::parse(url)?)?)
    }

    /// Does the same as [`from_environment`](Self::from_environment) with variables that come from
    /// elsewhere: `variable` returns the value of the variable with a name.
    ///
    /// # Examples
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
    /// Those of [`from_environment`](Self::from_environment).
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
    // The exceptions come first, so that a broken proxy does not matter for a server among them.
    let mut except = NoProxy::loopback();
    let list = ["no_proxy", "NO_PROXY"].into_iter().find_map(|name| Some((name, variable(name)?)));
    if let Some((name, list)) = list {
        // Bytes that are not UTF-8 spoil only the entry that they stand in.
        let list = list.to_string_lossy();
        except.extend(NoProxy::understood(&list, |at| exception_skipped(name, at)));
    }
    if except.matches(&server.host, server.port) {
        return Ok(None);
    }
    // A client of a CGI program can set HTTP_PROXY by the header `Proxy`.
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
/// is ignored, and `socks` means SOCKS 5. Returns `None` if the value names no proxy.
fn understood(value: &str) -> Option<(Proxy, Url)> {
    let value = value.trim();
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    // If a password has a slash in it, the text before the slash is not the host.
    let is_cut_password = path.contains('@');
    if is_cut_password || lacks_slash(value) {
        return None;
    }
    // GNOME writes `socks`, and lets the proxy look up names. So no lookup leaves this machine.
    let scheme = if scheme.eq_ignore_ascii_case("socks") { "socks5h" } else { scheme };
    Proxy::locate(&format!("{scheme}://{place}")).ok()
}

/// Returns whether `name` gives the variable `HTTP_PROXY`. On Windows case does not matter.
fn is_http_proxy(name: &str) -> bool {
    name == "HTTP_PROXY" || cfg!(windows) && name.eq_ignore_ascii_case("HTTP_PROXY")
}
