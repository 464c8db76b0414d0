//! Looks up names, and connects by TCP. The addresses of a name race (RFC 8305), by one deadline.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::abort::AbortHandle;
use super::blocking_pool::{Call, Pool, Serves, spawn};
use super::connector::Connector;
use super::deadline::Deadline;
use super::mailbox::{Mailbox, Slot};
use super::opening::Opening;
use super::stopwatch::{Step, Stopwatch};
use crate::error::{ConnectError, Error, Timeout};
use crate::proto::url::Host;

/// The time that one address has before the next one is tried as well (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Prepares a socket before it is used. The caller gives it.
pub(crate) type SocketHook = Arc<dyn Fn(&TcpStream) -> io::Result<()> + Send + Sync>;
/// Looks up names instead of the system.
pub(crate) type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;
/// Returns whether landline may connect to an address.
pub(crate) type AddressFilter = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

/// The options for connecting sockets.
#[derive(Clone)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: bool,
    pub(crate) connector: Option<Connector>,
    pub(crate) on_socket: Option<SocketHook>,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) filter: Option<AddressFilter>,
}

impl fmt::Debug for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketOptions").field("nodelay", &self.nodelay).finish_non_exhaustive()
    }
}

/// Connects sockets, until the deadline or an abort.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer<'a> {
    pub(crate) options: &'a SocketOptions,
    pub(crate) deadline: Deadline,
    pub(crate) abort: &'a AbortHandle,
    pub(crate) stopwatch: &'a Stopwatch,
}

/// The addresses of a host: those to try, and those that the filter refused.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) allowed: Vec<SocketAddr>,
    refused: Vec<(SocketAddr, io::Error)>,
}

/// The result of one address.
type Tried = (SocketAddr, io::Result<TcpStream>);

impl<'a> Dialer<'a> {
    /// Returns the limits for what follows on the connected socket.
    pub(crate) fn opening(&self) -> Opening<'a> {
        Opening { deadline: self.deadline, abort: self.abort }
    }

    /// Connects to the first address of `host` that answers.
    pub(crate) fn connect(&self, host: &Host, port: u16) -> Result<TcpStream, Error> {
        let Addresses { allowed, refused } = self.addresses(host, port)?;
        let stream = self.stopwatch.time(Step::Connect, || self.race(host, &allowed, refused))?;
        // It fails on macOS and illumos if the peer has reset the connection, which the next call
        // tells better.
        let _ = stream.set_nodelay(self.options.nodelay);
        if let Some(hook) = &self.options.on_socket {
            hook(&stream).map_err(Error::Io)?;
            // The options that the hook sets stay, except this one. Timeouts are set before each
            // use.
            stream.set_nonblocking(false).map_err(Error::Io)?;
        }
        Ok(stream)
    }

    /// Looks up `host`, if it is a name, and asks the filter about each address. At least one is
    /// allowed.
    pub(crate) fn addresses(&self, host: &Host, port: u16) -> Result<Addresses, Error> {
        let found = match host {
            Host::Address(address) => vec![SocketAddr::new(*address, port)],
            Host::Name(name) => self.stopwatch.time(Step::Resolve, || self.resolve(name, port))?,
        };
        let (mut allowed, mut refused) = (Vec::new(), Vec::new());
        for address in found.into_iter().map(unmapped) {
            if self.options.filter.as_ref().is_none_or(|filter| filter(address)) {
                allowed.push(address);
            } else if refused.len() < MAX_ADDRESSES {
                let why = "the address filter does not allow it";
                refused.push((address, io::Error::new(io::ErrorKind::PermissionDenied, why)));
            }
        }
        if allowed.is_empty() {
            let host = host.to_string();
            let error = ConnectError { host, resolve: None, attempts: refused };
            return Err(Error::Connect(Box::new(error)));
        }
        Ok(Addresses { allowed: interleave(allowed), refused })
    }

    fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        static LOOKUPS: Pool<Lookup> = Pool::new();
        let by = self.options.resolver.clone().map(|resolver| (resolver, port));
        let lookup = Lookup { name: name.to_owned(), by };
        let found = LOOKUPS.call(lookup, self.deadline, self.abort, Timeout::Resolve)?;
        let error = match found {
            Ok(addresses) if addresses.is_empty() => {
                io::Error::new(io::ErrorKind::NotFound, "the name has no addresses")
            }
            Ok(mut addresses) if self.options.resolver.is_none() => {
                addresses.iter_mut().for_each(|address| address.set_port(port));
                return Ok(addresses);
            }
            Ok(addresses) => return Ok(addresses),
            Err(error) => error,
        };
        let (host, attempts) = (name.to_owned(), Vec::new());
        Err(Error::Connect(Box::new(ConnectError { host, resolve: Some(error), attempts })))
    }

    fn race(
        &self,
        host: &Host,
        addresses: &[SocketAddr],
        mut attempts: Vec<(SocketAddr, io::Error)>,
    ) -> Result<TcpStream, Error> {
        let mailbox = Mailbox::new(self.abort);
        let deadline = self.deadline;
        let mut waiting = addresses.iter().copied().peekable();
        let mut running = 0;
        let mut next_start = Deadline::at(Instant::now());
        loop {
            match waiting.peek() {
                Some(&address) if next_start.is_past() && !deadline.is_past() => {
                    next_start = Deadline::after(Some(STAGGER));
                    match self.try_address(address, mailbox.slot()) {
                        Ok(()) => running += 1,
                        // The system gives no thread now. This address is tried again later.
                        Err(_) if running > 0 => continue,
                        Err(error) => {
                            attempts.push((address, error));
                            next_start = Deadline::at(Instant::now());
                        }
                    }
                    waiting.next();
                    continue;
                }
                Some(_) => {}
                None if running == 0 && !deadline.is_past() => {
                    let host = host.to_string();
                    let error = ConnectError { host, resolve: None, attempts };
                    return Err(Error::Connect(Box::new(error)));
                }
                None => next_start = Deadline::NEVER,
            }
            match mailbox.wait(deadline.min(next_start), Timeout::Connect) {
                Ok((_, Ok(stream))) => return Ok(stream),
                Ok((address, Err(error))) => {
                    attempts.push((address, error));
                    running -= 1;
                    next_start = Deadline::at(Instant::now());
                }
                Err(Error::Timeout(_)) if !deadline.is_past() => {} // The next address may start.
                Err(error) => return Err(error),
            }
        }
    }

    /// Tries one address in a thread of its own, which `std` cannot stop. If another address wins,
    /// the thread and its socket stay until the deadline or an answer, and a connection that comes
    /// so late is closed.
    fn try_address(&self, address: SocketAddr, slot: Slot<Tried>) -> io::Result<()> {
        let (deadline, connector) = (self.deadline, self.options.connector.clone());
        // Code of the caller may need more than connecting does.
        let stack = connector.is_none().then_some(256 * 1024);
        let job = move || {
            if !slot.is_wanted() {
                return; // Another address won, or connecting ended, before this thread ran.
            }
            let tried = match (connector, deadline.remaining(Instant::now())) {
                (_, Some(Duration::ZERO)) => Err(io::ErrorKind::TimedOut.into()),
                (Some(connector), _) => connector(address, deadline.moment()),
                (None, Some(remaining)) => TcpStream::connect_timeout(&address, remaining),
                (None, None) => TcpStream::connect(address),
            };
            let tried = tried.and_then(|stream| {
                // If nobody listens on the port, and the system gives it to this very socket, the
                // socket connects to itself.
                if stream.local_addr()? == stream.peer_addr()? {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Ok(stream)
            });
            let _ = slot.put((address, tried));
        };
        spawn("landline-connect", stack, Box::new(job))
    }
}

/// A name to look up by the system, or by a resolver of the caller, which is given the port too.
#[derive(Clone)]
struct Lookup {
    name: String,
    by: Option<(Resolver, u16)>,
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        let same_resolver = match (&self.by, &other.by) {
            (Some((one, port)), Some((other, other_port))) => {
                Arc::ptr_eq(one, other) && port == other_port
            }
            (one, other) => one.is_none() && other.is_none(),
        };
        same_resolver && self.name == other.name
    }
}

impl Call for Lookup {
    type Answer = io::Result<Vec<SocketAddr>>;
    const SERVES: Serves<Self::Answer> = Serves::All(copy);
    const THREAD: &'static str = "landline-resolve";

    fn run(&self) -> Self::Answer {
        let lookup = || match &self.by {
            Some((resolver, port)) => resolver(&self.name, *port),
            // Each caller sets its own port.
            None => (self.name.as_str(), 0).to_socket_addrs().map(Iterator::collect),
        };
        let found = catch_unwind(AssertUnwindSafe(lookup));
        found.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")))
    }
}

/// Copies the answer for another caller. Of an error it keeps the system's number, or the kind and
/// the text.
fn copy(found: &io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    match found {
        Ok(addresses) => Ok(addresses.clone()),
        Err(error) => Err(match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}

/// Returns an IPv4 address that is written as an IPv6 one in its own form. It is the same machine,
/// but a socket of Windows for IPv6 does not reach it.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address, // With its zone.
    }
}

/// Orders the addresses so that IPv4 and IPv6 take turns, beginning with the family of the first
/// address (RFC 8305 section 4).
fn interleave(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut turns: Vec<SocketAddr> = Vec::new();
    while !addresses.is_empty() && turns.len() < MAX_ADDRESSES {
        let last_is_v6 = turns.last().map(SocketAddr::is_ipv6);
        let other = addresses.iter().position(|address| last_is_v6 != Some(address.is_ipv6()));
        // Of one family only, the addresses follow each other.
        turns.push(addresses.remove(other.unwrap_or(0)));
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn an_attempt_that_nobody_waits_for_when_its_thread_runs_does_not_connect() {
        let (called, calls) = channel();
        let called = Mutex::new(called);
        let connector = move |_, _| {
            let _ = called.lock().unwrap().send(());
            Err(io::ErrorKind::ConnectionRefused.into())
        };
        let (resolver, filter, on_socket) = (None, None, None);
        let connector = Some(Arc::new(connector) as Connector);
        let options = SocketOptions { nodelay: true, connector, on_socket, resolver, filter };
        let (abort, stopwatch) = (AbortHandle::new(), Stopwatch::start());
        let deadline = Deadline::NEVER;
        let dialer = Dialer { options: &options, deadline, abort: &abort, stopwatch: &stopwatch };
        let slot = Mailbox::new(&abort).slot();
        dialer.try_address(([127, 0, 0, 1], 1).into(), slot).unwrap();
        drop(options);
        // The thread drops the connector when it ends.
        assert!(calls.recv().is_err());
    }
}
