//! Makes the options of the connection: headers, credentials, TLS, proxies, limits.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landline::cookie::CookieJar;
use landline::deflate::Deflate;
use landline::proxy::Proxy;
use landline::tls::TlsOptions;
use landline::{Builder, Error, Keepalive, WebSocket};

use crate::args::{Curl, Network, Request, Tls};
use crate::cookies;
use crate::headers::{self, Headers};
use crate::notes::Notes;
use crate::resolve::Addresses;
use crate::secret;

/// Names the server, and how it is connected to.
pub(crate) struct Target {
    url: String,
    builder: Builder,
    connect_timeout: Duration,
    #[cfg(unix)]
    unix_socket: Option<PathBuf>,
    /// The cookies, and the file that they are kept in.
    jar: Option<(Arc<CookieJar>, PathBuf)>,
}

/// Is what `Builder` uses too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

impl Target {
    /// Checks the options. Opens no socket.
    pub(crate) fn new(
        url: &str,
        request: Request,
        tls: Tls,
        network: Network,
        curl: &Curl,
        notes: &Notes,
    ) -> Result<Self, String> {
        let url = checked_url(url)?;
        if cfg!(not(unix)) && network.unix_socket.is_some() {
            return Err("--unix-socket: this system has none".to_owned());
        }
        let builder = Builder::new()
            .keepalive(if network.no_keepalive { Keepalive::OFF } else { Keepalive::default() })
            .write_timeout(network.write_timeout)
            .tls(tls_options(tls)?);
        let builder = match network.close_timeout {
            Some(timeout) => builder.close_timeout(timeout),
            None => builder,
        };
        let builder = match (network.ipv4, network.ipv6) {
            (true, _) => builder.address_filter(|address| address.is_ipv4()),
            (_, true) => builder.address_filter(|address| address.is_ipv6()),
            _ => builder,
        };
        let builder = if network.resolve.is_empty() {
            builder
        } else {
            let addresses = Addresses::parse(&network.resolve)?;
            builder.resolver(move |host, port| addresses.look_up(host, port))
        };
        let builder = match network.interface.clone() {
            Some(interface) => {
                builder.connector(move |address, deadline| interface.connect(address, deadline))
            }
            None => builder,
        };
        let (builder, jar) = with_cookies(builder, &request, notes)?;
        Ok(Self {
            builder: with_proxy(with_request(builder, request, notes)?, &url, &network, curl)?,
            url,
            connect_timeout: network.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            #[cfg(unix)]
            unix_socket: network.unix_socket,
            jar,
        })
    }

    /// Changes the options of the connection.
    pub(crate) fn change(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.builder = change(std::mem::take(&mut self.builder));
    }

    /// Returns the options for an attempt that must be over at `deadline`.
    pub(crate) fn builder(&self, deadline: Option<Instant>) -> Builder {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(self.connect_timeout, |left| left.min(self.connect_timeout));
        self.builder.clone().open_timeout(timeout)
    }

    pub(crate) fn connect(&self, builder: &Builder) -> Result<WebSocket, Error> {
        #[cfg(unix)]
        if let Some(path) = &self.unix_socket {
            return builder.connect_unix(&self.url, path);
        }
        builder.connect(&self.url)
    }

    /// Writes the cookies to their file, if there is one.
    pub(crate) fn save_cookies(&self) -> Result<(), String> {
        let Some((jar, path)) = &self.jar else { return Ok(()) };
        cookies::write(path, jar).map_err(|error| format!("cannot write {path:?}: {error}"))
    }
}

/// Returns the URL with the scheme of a WebSocket.
fn checked_url(url: &str) -> Result<String, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("{url:?} has no scheme: give ws://{url} or wss://{url}"));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => {
            return Err(format!("{url:?} is for something else: give ws://{rest} or wss://{rest}"));
        }
    };
    let url = format!("{scheme}://{rest}");
    // A proxy checks the URL as `connect` does.
    let checked = Proxy::new("http://localhost").and_then(|proxy| proxy.is_for(&url));
    checked.map(|_| url).map_err(|error| error.to_string())
}

fn with_request(mut builder: Builder, request: Request, notes: &Notes) -> Result<Builder, String> {
    let mut headers = Headers::default();
    request.headers.iter().try_for_each(|list| headers.add_list("--headers", list))?;
    request.header.iter().try_for_each(|line| headers.add("--header", line))?;
    if let Some(referer) = request.referer {
        headers.lines.push(("Referer".to_owned(), referer));
    }
    if !headers.ignored.is_empty() {
        let names = headers.ignored.join(", ");
        notes.info(&format!("left out, because the handshake writes them itself: {names}"));
    }
    for (name, value) in headers.lines {
        builder = builder.header(name, value);
    }
    if headers.no_user_agent {
        builder = builder.user_agent(None);
    }
    if let Some(agent) = &request.user_agent {
        builder = builder.user_agent(agent.as_str());
    }
    if let Some(origin) = request.origin {
        builder = builder.origin(origin);
    }
    let subprotocols: Vec<_> =
        request.subprotocols.into_iter().chain(headers.subprotocols).collect();
    builder = builder.subprotocols(subprotocols);
    if request.deflate {
        builder = builder.deflate(Deflate::new());
    }
    if request.no_redirect {
        builder = builder.max_redirects(0);
    } else if let Some(most) = request.max_redirs {
        builder = builder.max_redirects(most);
    }
    // An option counts before a variable, which may be meant for something else.
    let is_bearer = request.bearer.is_some();
    let auth = secret::read("--auth", request.auth, if is_bearer { "" } else { "WSDUMP_AUTH" })?;
    if let Some(auth) = auth {
        let (user, password) = secret::login("--auth", &auth)?;
        builder = builder.basic_auth(&user, &password);
    } else if let Some(token) = secret::read("--bearer", request.bearer, "WSDUMP_BEARER")? {
        builder = builder.bearer_auth(&token);
    }
    Ok(builder)
}

type Jar = Option<(Arc<CookieJar>, PathBuf)>;

fn with_cookies(
    mut builder: Builder,
    request: &Request,
    notes: &Notes,
) -> Result<(Builder, Jar), String> {
    let (given, files): (Vec<_>, Vec<_>) =
        request.cookie.iter().partition(|cookie| cookie.contains('='));
    if !given.is_empty() {
        let given: Vec<&str> = given.into_iter().map(String::as_str).collect();
        builder = builder.cookie(given.join("; "));
    }
    let own = request.cookie_jar.clone();
    if files.is_empty() && own.is_none() {
        return Ok((builder, None));
    }
    let jar = Arc::new(CookieJar::new());
    let files = files.into_iter().map(PathBuf::from);
    for path in files.chain(own.clone().filter(|own| own.exists())) {
        match cookies::read(&path, &jar) {
            Ok(0) => {}
            Ok(wrong) => notes.info(&format!("{path:?}: {wrong} lines hold no cookie to be used")),
            Err(error) => return Err(format!("cannot read the cookies in {path:?}: {error}")),
        }
    }
    builder = builder.cookie_store(jar.clone());
    Ok((builder, own.map(|path| (jar, path))))
}

fn tls_options(tls: Tls) -> Result<TlsOptions, String> {
    let text = |error: Error| error.to_string();
    let mut options = match tls.cacert {
        Some(path) => TlsOptions::new().ca_pem_file(path).map_err(text)?,
        None => TlsOptions::new().add_native_roots(),
    };
    if let Some(chain) = tls.cert {
        let key = tls.key.unwrap_or_else(|| chain.clone());
        options = options.client_certificate_files(chain, key).map_err(text)?;
    }
    if let Some(name) = tls.server_name {
        options = options.server_name(name);
    }
    for pin in &tls.pin {
        options = options.pin_public_key(pin).map_err(|error| format!("--pin: {error}"))?;
    }
    if tls.tls13 {
        options = options.tls13_only();
    }
    if tls.keylog {
        if env::var_os("SSLKEYLOGFILE").is_none() {
            return Err("--keylog: set the variable SSLKEYLOGFILE to the file to write".to_owned());
        }
        options = options.key_log();
    }
    if tls.insecure {
        options = options.danger_accept_any_certificate();
    }
    Ok(options)
}

fn with_proxy(
    builder: Builder,
    url: &str,
    network: &Network,
    curl: &Curl,
) -> Result<Builder, String> {
    let text = |error: Error| error.to_string();
    let given = [
        ("socks4", &curl.socks4),
        ("socks4a", &curl.socks4a),
        ("socks5", &curl.socks5),
        ("socks5h", &curl.socks5_hostname),
    ];
    let given =
        given.iter().find_map(|(scheme, host)| Some(format!("{scheme}://{}", host.as_ref()?)));
    let given = given.or_else(|| network.proxy.clone());
    let login = secret::read("--proxy-user", network.proxy_user.clone(), "WSDUMP_PROXY_USER")?;
    let is_plain = given.is_none() && network.noproxy.is_none() && login.is_none();
    if is_plain && !has_proxy_options(network) {
        return Ok(match https_of_environment(url) {
            Some(proxy) => builder.proxy(proxy.tls(proxy_tls(network)?)),
            None => builder, // The environment decides, at each attempt.
        });
    }
    let proxy = match given.as_deref() {
        Some("") => None,
        Some(proxy) => Some(Proxy::new(proxy).map_err(|error| format!("--proxy: {error}"))?),
        None => Proxy::from_environment(url).map_err(text)?,
    };
    let Some(mut proxy) = proxy else {
        if has_proxy_options(network) {
            return Err("--proxy-...: there is no proxy; give one with --proxy".to_owned());
        }
        return Ok(builder.proxy(None));
    };
    if let Some(login) = login {
        let (user, password) = secret::login("--proxy-user", &login)?;
        proxy = proxy.credentials(user, password).map_err(text)?;
    }
    for given in &network.proxy_header {
        for (name, value) in headers::for_proxy("--proxy-header", given)? {
            let with_header = proxy.header(name, value);
            proxy = with_header.map_err(|error| format!("--proxy-header: {error}"))?;
        }
    }
    proxy = proxy.tls(proxy_tls(network)?);
    if let Some(list) = &network.noproxy {
        proxy = proxy.except(list).map_err(|error| format!("--noproxy: {error}"))?;
    }
    Ok(builder.proxy(proxy))
}

/// Returns the https proxy that the environment names for this URL, if it names one. The library
/// would trust Mozilla's roots only. The proxy stays the same after a redirect, as that of an
/// option does.
fn https_of_environment(url: &str) -> Option<Proxy> {
    // The library warns of a variable that names no proxy. It would do so twice if it were asked
    // here for nothing.
    let names_https = env::vars_os().any(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        name.to_ascii_lowercase().ends_with("_proxy") && is_https(value.trim())
    });
    if !names_https {
        return None;
    }
    // An error comes again when the connection is opened.
    Proxy::from_environment(url).ok().flatten().filter(|proxy| is_https(&proxy.to_string()))
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

/// Returns the options of TLS with the proxy.
fn proxy_tls(network: &Network) -> Result<TlsOptions, String> {
    let tls = match &network.proxy_cacert {
        Some(path) => TlsOptions::new().ca_pem_file(path).map_err(|error| error.to_string())?,
        None => TlsOptions::new().add_native_roots(),
    };
    Ok(if network.proxy_insecure { tls.danger_accept_any_certificate() } else { tls })
}

fn has_proxy_options(network: &Network) -> bool {
    network.proxy_user.is_some()
        || !network.proxy_header.is_empty()
        || network.proxy_cacert.is_some()
        || network.proxy_insecure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_gets_a_better_one() {
        assert_eq!(checked_url("WSS://h/x").as_deref(), Ok("wss://h/x"));
        assert_eq!(checked_url("https://h/x").as_deref(), Ok("wss://h/x"));
        assert_eq!(checked_url("http://h/x").as_deref(), Ok("ws://h/x"));
        let error = checked_url("example.com/x").unwrap_err();
        assert!(error.contains("give ws://example.com/x or wss://example.com/x"), "{error}");
        assert!(checked_url("ftp://h").unwrap_err().contains("ws://h or wss://h"));
        assert!(checked_url("ws://").is_err());
        assert!(checked_url("ws://h:99999/").is_err());
    }
}
