//! A proxy, and the choice between the one that the caller gave and the one that the environment
//! names.

mod environment;
mod http_connect;
mod no_proxy;
mod socks;
pub(crate) mod tunnel;

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, InvalidInput};
use crate::net::basic_auth::BasicAuth;
use crate::net::tls::TlsOptions;
use crate::net::url::{ServerUrl, is_host, percent_decode};
use crate::proto::http::{is_field_value, is_token, shown_name};
use crate::proto::location;
use crate::proto::socks::{RequestError, Version, check_credentials, check_destination};
use crate::proto::url::{self, Host, Url};
use no_proxy::NoProxy;

/// Describes a proxy to connect through. [`Builder::proxy`](crate::Builder::proxy) takes it.
///
/// | scheme | speaks | port if none is given | the server's name is looked up |
/// |---|---|---|---|
/// | `http` | CONNECT (RFC 9110 section 9.3.6), for `ws://` and `wss://` | 80 | by the proxy |
/// | `https` | the same over TLS | 443 | by the proxy |
/// | `socks4` | SOCKS 4, IPv4 only | 1080 | here |
/// | `socks4a` | SOCKS 4a | 1080 | by the proxy |
/// | `socks5` | SOCKS 5 (RFC 1928) | 1080 | here |
/// | `socks5h` | SOCKS 5 | 1080 | by the proxy |
///
/// If the name is looked up here and has several addresses, the proxy is asked for one after the
/// other. For each but the last it has a half or a third of the time that is left of
/// `open_timeout`.
///
/// For `wss://`, TLS is spoken with the server itself through the proxy. So the proxy sees no more
/// than the server's name and address.
///
/// # Examples
///
/// ```no_run
/// use landline::Builder;
/// use landline::proxy::Proxy;
///
/// let proxy = Proxy::new("http://user:password@proxy.example:3128")?;
/// let mut ws = Builder::new().proxy(proxy).connect("wss://example.com/")?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// A proxy may have exceptions, to which landline connects directly:
///
/// ```
/// use landline::proxy::Proxy;
///
/// let proxy = Proxy::new("socks5h://proxy.example:1080")?
///     .credentials("user", "password")?
///     .except("localhost, .internal.example, 10.0.0.0/8")?;
/// assert!(proxy.is_for("wss://example.com/")?);
/// assert!(!proxy.is_for("ws://db.internal.example/")?);
/// assert_eq!(proxy.to_string(), "socks5h://proxy.example:1080");
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    credentials: Option<Credentials>,
    pub(crate) headers: Vec<(String, String)>,
    except: NoProxy,
    pub(crate) tls: TlsOptions,
}

/// The scheme of a proxy's URL: the protocol that the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Socks4,
    Socks4a,
    Socks5,
    Socks5h,
}

/// The credentials that are sent to the proxy, checked for its protocol.
#[derive(Clone)]
enum Credentials {
    Basic(BasicAuth),
    Socks { user: String, password: String },
}

const SCHEMES: [(&str, Scheme, u16); 6] = [
    ("http", Scheme::Http, 80),
    ("https", Scheme::Https, 443),
    ("socks4", Scheme::Socks4, 1080),
    ("socks4a", Scheme::Socks4a, 1080),
    ("socks5", Scheme::Socks5, 1080),
    ("socks5h", Scheme::Socks5h, 1080),
];

impl Proxy {
    /// Reads `scheme://user:password@host:port`. User, password and port may be left out, and also
    /// the scheme, which is `http` then. In user and password special characters are written as in
    /// URLs: `%40` stands for `@`.
    ///
    /// # Errors
    /// [`InvalidInput::Proxy`] for any other scheme, a host or port that makes no sense, anything
    /// after the port, and credentials that a proxy of this scheme cannot be given; `https` needs
    /// the feature `tls-core`.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::parse(url.trim())?)
    }

    fn parse(url: &str) -> Result<Self, InvalidInput> {
        let (proxy, url) = Self::locate(url)?;
        proxy.with_credentials_of(&url)
    }

    /// Reads scheme, host and port. Returns the URL too, which may hold credentials.
    fn locate(url: &str) -> Result<(Self, Url), InvalidInput> {
        // The URL Standard drops some of these silently.
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("it has a space or a control character"));
        }
        let lacks_slash = lacks_slash(url);
        let url = if url.contains("://") { Cow::from(url) } else { format!("http://{url}").into() };
        if lacks_slash || !location::has_host(&url) {
            return Err(invalid("the host is not valid"));
        }
        // The URL Standard would shorten `/a/..` to nothing.
        let after_port = after_port(&url).to_owned();
        let url = url::parse(&url).map_err(InvalidInput::Proxy)?;
        let known = SCHEMES.iter().find(|(name, ..)| *name == url.scheme);
        let &(_, scheme, default_port) = known.ok_or_else(|| {
            invalid("the scheme is not http, https, socks4, socks4a, socks5 or socks5h")
        })?;
        if !matches!(after_port.as_str(), "" | "/") {
            return Err(invalid("there is something after the port"));
        }
        if !is_host(&url.host) {
            return Err(invalid("the host is not valid"));
        }
        let port = url.port.unwrap_or(default_port);
        if port == 0 {
            return Err(invalid("port 0 cannot be connected to"));
        }
        let proxy = Self {
            scheme,
            host: url.host.clone(),
            port,
            credentials: None,
            headers: Vec::new(),
            except: NoProxy::default(),
            tls: TlsOptions::shared(),
        };
        Ok((proxy, url))
    }

    fn with_credentials_of(self, url: &Url) -> Result<Self, InvalidInput> {
        if self.scheme == Scheme::Https && !cfg!(feature = "tls-core") {
            return Err(invalid("https needs the feature \"tls\""));
        }
        let Some((user, password)) = &url.credentials else { return Ok(self) };
        let decode = |text: &str| {
            let why = "the user or the password is not UTF-8, which cannot be sent";
            percent_decode(text).ok_or_else(|| invalid(why))
        };
        self.with_credentials(decode(user)?, decode(password)?)
    }

    /// Sends a user and a password to the proxy, and only to the proxy: by
    /// `Proxy-Authorization: Basic` (RFC 7617) to an HTTP proxy, by RFC 1929 to SOCKS 5. SOCKS 4
    /// knows a user only, so there the password must be empty. Default: those in the URL, if there
    /// are any.
    ///
    /// # Errors
    /// [`InvalidInput::Proxy`] if either has a control character; for an HTTP proxy if the user has
    /// a colon; for SOCKS if the user is empty, or either is longer than 255 bytes.
    pub fn credentials(
        self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(self.with_credentials(user.into(), password.into())?)
    }

    fn with_credentials(mut self, user: String, password: String) -> Result<Self, InvalidInput> {
        if [&user, &password].iter().any(|text| text.contains(char::is_control)) {
            let why = "the user or the password has a control character, which cannot be sent";
            return Err(invalid(why));
        }
        self.credentials = Some(match self.scheme.socks_version() {
            Some(version) => {
                check_credentials(version, &user, &password).map_err(cannot_request)?;
                Credentials::Socks { user, password }
            }
            None => {
                let why = "the user has a colon, which cannot be sent to an HTTP proxy";
                let auth = BasicAuth::new(&user, &password).ok_or_else(|| invalid(why))?;
                Credentials::Basic(auth)
            }
        });
        Ok(self)
    }

    /// Adds a header line to the CONNECT request. Of the headers for the server, that request has
    /// `User-Agent` only. A `Proxy-Authorization` given here replaces that of
    /// [`credentials`](Self::credentials), and a `User-Agent` that of the
    /// [Builder](crate::Builder::user_agent).
    ///
    /// # Errors
    /// [`InvalidInput::Proxy`] for a SOCKS proxy, because SOCKS has no headers.
    /// [`InvalidInput::Header`] for a name that is no token, or a value with control characters.
    /// [`InvalidInput::ReservedHeader`] for `Host`, `Content-Length` and `Transfer-Encoding`.
    pub fn header(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), value.into());
        if self.scheme.socks_version().is_some() {
            return Err(invalid("SOCKS has no headers").into());
        }
        if !is_token(&name) || !is_field_value(&value) {
            return Err(InvalidInput::Header(shown_name(&name).into()).into());
        }
        let reserved = ["Host", "Content-Length", "Transfer-Encoding"];
        if reserved.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(InvalidInput::ReservedHeader(name.into()).into());
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the options of TLS with an `https` proxy. They have no effect for other proxies, nor on
    /// TLS with the server, which has [`Builder::tls`](crate::Builder::tls). Default:
    /// [`TlsOptions::new`].
    #[cfg(feature = "tls-core")]
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = options;
        self
    }

    /// Connects to the servers in `list` directly. Another call adds more. Default: none. The list
    /// is written like that of `NO_PROXY`: entries separated by commas, semicolons or white space.
    ///
    /// | entry | stands for |
    /// |---|---|
    /// | `*` | every server |
    /// | `example.com`, `.example.com`, `*.example.com` | the name, and all names below it |
    /// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | the address |
    /// | `10.0.0.0/8`, `2001:db8::/32` | the addresses of the network |
    /// | `127.*`, `192.168.*.*` | the IPv4 addresses that begin so |
    /// | `<local>` | names without a dot, as on Windows |
    /// | `example.com:8080`, `[2001:db8::1]:8080` | the same with this port only |
    ///
    /// An address is compared with the host of the URL. A name is not looked up for that.
    ///
    /// # Errors
    /// [`InvalidInput::Proxy`] with the first entry that is none of these.
    #[doc(alias = "no_proxy")]
    pub fn except(mut self, list: &str) -> Result<Self, Error> {
        self.except.extend(NoProxy::parse(list)?);
        Ok(self)
    }

    /// Returns whether a connection to this `ws://` or `wss://` URL goes through the proxy. It
    /// does, unless an [exception](Self::except) names the server.
    ///
    /// # Errors
    /// [`InvalidInput::Url`], as when connecting.
    pub fn is_for(&self, url: &str) -> Result<bool, Error> {
        Ok(self.is_for_server(&ServerUrl::parse(url)?))
    }

    fn is_for_server(&self, server: &ServerUrl) -> bool {
        !self.except.matches(&server.host, server.port)
    }

    /// Returns whether the proxy looks up the server's name itself.
    pub(crate) fn looks_up_names(&self) -> bool {
        !matches!(self.scheme, Scheme::Socks4 | Scheme::Socks5)
    }

    /// Checks whether this proxy can be asked for the host: SOCKS 4 knows no IPv6, for example.
    pub(crate) fn check_host(&self, host: &Host) -> Result<(), InvalidInput> {
        let Some(version) = self.scheme.socks_version() else { return Ok(()) };
        check_destination(version, &socks::destination(host)).map_err(cannot_request)
    }
}

impl Scheme {
    /// Returns the version of SOCKS; `None` for HTTP.
    fn socks_version(self) -> Option<Version> {
        match self {
            Self::Http | Self::Https => None,
            Self::Socks4 | Self::Socks4a => Some(Version::V4),
            Self::Socks5 | Self::Socks5h => Some(Version::V5),
        }
    }
}

/// Writes `scheme://host:port`, without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = SCHEMES.iter().find(|(_, scheme, _)| *scheme == self.scheme);
        let name = known.map_or("", |(name, ..)| name);
        write!(f, "{name}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    /// Writes no credentials, and of the headers the names only: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Proxy")
            .field("url", &self.to_string())
            .field("credentials", &self.credentials.is_some())
            .field("headers", &headers)
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

/// Returns whether a slash is missing after the scheme. The URL `http:/proxy.example` does not mean
/// a proxy that is named `http`.
fn lacks_slash(url: &str) -> bool {
    let before = url.split_once('/').map_or("", |(before, _)| before);
    before.ends_with(':') && !url.contains("://")
}

/// Returns what follows the host and the port.
fn after_port(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find(['/', '\\', '?', '#']).map_or("", |end| &rest[end..])
}

fn invalid(why: &str) -> InvalidInput {
    InvalidInput::Proxy(why.into())
}

/// Returns the error for what SOCKS cannot send.
fn cannot_request(why: RequestError) -> InvalidInput {
    InvalidInput::Proxy(why.to_string().into())
}

/// The choice of the proxy: by the environment, none, or a given one.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Environment,
    Never,
    This(Box<Proxy>),
}

impl Choice {
    /// Returns the proxy to use for `server`, if any; reads the environment now.
    pub(crate) fn choose(
        &self,
        server: &ServerUrl,
    ) -> Result<Option<Cow<'_, Proxy>>, InvalidInput> {
        match self {
            Self::Never => Ok(None),
            Self::This(proxy) => Ok(proxy.is_for_server(server).then_some(Cow::Borrowed(proxy))),
            Self::Environment => Ok(environment::proxy_for(server)?.map(Cow::Owned)),
        }
    }
}
