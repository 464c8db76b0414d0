//! Opens a tunnel to a server: TCP and TLS to the proxy, and the handshake with it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Proxy, Scheme, http_connect, socks};
use crate::error::{ConnectError, Error, ProxyError, ProxyProblem, SocksError, Timeout};
use crate::net::deadline::Deadline;
use crate::net::opening::{Exchange, ExchangeError, Opening};
use crate::net::stopwatch::Step;
use crate::net::stream::Stream;
use crate::net::tcp::Dialer;
use crate::net::tls;
use crate::proto::url::Host;
use crate::sync::now;

/// The time that a proxy has for a destination if opening has no deadline, and there are others. It
/// is that of the default `open_timeout`.
const LONGEST_SHARE: Duration = Duration::from_secs(30);

/// Opens a tunnel to `host` through `proxy`. Bytes that are written to the stream reach the server.
/// An HTTP proxy is sent the `user_agent`.
pub(crate) fn open(
    dialer: &Dialer<'_>,
    proxy: &Proxy,
    host: &Host,
    port: u16,
    user_agent: Option<&str>,
) -> Result<Arc<dyn Stream>, Error> {
    proxy.check_host(host)?;
    let mut destinations = destinations(dialer, proxy, host, port)?.into_iter();
    let mut outcome = Err(Error::Timeout(Timeout::Proxy));
    while let Some((host, port)) = destinations.next() {
        let others = destinations.len();
        outcome = open_to(dialer, proxy, &host, port, others, user_agent);
        let is_unreachable = match &outcome {
            Err(Error::Proxy(error)) => {
                matches!(&error.problem, ProxyProblem::Socks(why) if is_about_destination(*why))
            }
            Err(Error::Timeout(Timeout::Proxy)) => !dialer.deadline.is_past(),
            _ => false,
        };
        if !is_unreachable || others == 0 {
            break;
        }
    }
    // The abort shut the socket down; report it, not the error of the socket.
    outcome.map_err(|error| if dialer.abort.is_aborted() { Error::aborted() } else { error })
}

/// Returns whether the proxy could not reach the destination. Another address may work then.
fn is_about_destination(refusal: SocksError) -> bool {
    matches!(refusal, SocksError::Refused4(91) | SocksError::Refused5(1 | 3..=6 | 8))
}

/// Returns the hosts and ports to ask the proxy for, one after the other: the server's, or those of
/// its addresses if the proxy looks up no names.
fn destinations(
    dialer: &Dialer<'_>,
    proxy: &Proxy,
    host: &Host,
    port: u16,
) -> Result<Vec<(Host, u16)>, Error> {
    if proxy.looks_up_names() && matches!(host, Host::Name(_)) {
        return Ok(vec![(host.clone(), port)]);
    }
    let addresses = dialer.addresses(host, port)?.allowed.into_iter();
    let hosts = addresses.map(|address| (Host::Address(address.ip()), address.port()));
    let hosts: Vec<_> = hosts.filter(|(host, _)| proxy.check_host(host).is_ok()).collect();
    if hosts.is_empty() {
        let why = "SOCKS 4 needs an IPv4 address, and the name has none that can be asked for";
        let resolve = Some(io::Error::new(io::ErrorKind::NotFound, why));
        let error = ConnectError { host: host.to_string(), resolve, attempts: Vec::new() };
        return Err(Error::Connect(Box::new(error)));
    }
    Ok(hosts)
}

fn open_to(
    dialer: &Dialer<'_>,
    proxy: &Proxy,
    host: &Host,
    port: u16,
    others: usize,
    user_agent: Option<&str>,
) -> Result<Arc<dyn Stream>, Error> {
    let stream = reach(dialer, proxy)?;
    let opening = Opening { deadline: share(dialer.deadline, others), ..dialer.opening() };
    let mut exchange = Exchange::plain(stream.clone(), opening);
    dialer.stopwatch.time(Step::Proxy, || match proxy.scheme.socks_version() {
        Some(version) => socks::ask(&mut exchange, proxy, version, host, port),
        None => http_connect::ask(&mut exchange, proxy, host, port, user_agent),
    })?;
    Ok(stream)
}

/// Returns until when the proxy has time to reach a destination, so that time is left for the
/// `others`. The first ones get most of it, because a proxy may be slow.
fn share(deadline: Deadline, others: usize) -> Deadline {
    let parts = match others {
        0 => return deadline,
        1 => 2,
        _ => 3,
    };
    let time = deadline.remaining(now()).map_or(LONGEST_SHARE, |left| left / parts);
    deadline.min(Deadline::after(Some(time)))
}

/// Connects to the proxy itself.
fn reach(dialer: &Dialer<'_>, proxy: &Proxy) -> Result<Arc<dyn Stream>, Error> {
    let tls = match proxy.scheme {
        Scheme::Https => Some(tls::prepare(&proxy.tls, &proxy.host)?),
        _ => None,
    };
    let stream = match dialer.connect(&proxy.host, proxy.port) {
        Ok(stream) => Arc::new(stream) as Arc<dyn Stream>,
        Err(Error::Connect(error)) => return Err(proxy.failed(ProxyProblem::Connect(*error))),
        Err(error) => return Err(error),
    };
    dialer.abort.wake_stream(&stream);
    if let Some(tls) = tls {
        let open = || tls.open_stream(stream, dialer.opening());
        let stream = dialer.stopwatch.time(Step::Proxy, open).map_err(|error| match error {
            Error::Timeout(_) => Error::Timeout(Timeout::Proxy),
            Error::Tls(error) => proxy.failed(ProxyProblem::Tls(*error)),
            Error::Io(error) => proxy.failed(ProxyProblem::Io(error)),
            error => error,
        })?;
        dialer.abort.wake_stream(&stream);
        return Ok(stream);
    }
    Ok(stream)
}

impl Proxy {
    /// Returns the error that this proxy failed with `problem`.
    pub(super) fn failed(&self, problem: ProxyProblem) -> Error {
        let proxy = self.to_string().into();
        Error::Proxy(Box::new(ProxyError { proxy, problem }))
    }

    pub(super) fn exchange_failed(&self, error: ExchangeError) -> Error {
        self.failed(match error {
            ExchangeError::Timeout => return Error::Timeout(Timeout::Proxy),
            ExchangeError::Eof => ProxyProblem::Eof,
            ExchangeError::Tls(error) => ProxyProblem::Tls(error),
            ExchangeError::Io(error) => ProxyProblem::Io(error),
            ExchangeError::Head(error) => ProxyProblem::Head(error),
            ExchangeError::TooManyInterim(_) => ProxyProblem::TooManyInterim,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_may_work_if_the_refusal_is_about_the_address() {
        let others = [SocksError::NoAcceptableMethod, SocksError::WrongPassword];
        assert!(!others.into_iter().any(is_about_destination));
        for code in 0..=255 {
            assert_eq!(is_about_destination(SocksError::Refused4(code)), code == 91, "{code}");
            let expected = matches!(code, 1 | 3 | 4 | 5 | 6 | 8);
            assert_eq!(is_about_destination(SocksError::Refused5(code)), expected, "{code}");
            for other in [
                SocksError::NotSocks(code),
                SocksError::Method(code),
                SocksError::AddressType(code),
            ] {
                assert!(!is_about_destination(other), "{other:?}");
            }
        }
    }
}
