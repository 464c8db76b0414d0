//! Name lookup and TCP: the addresses race (RFC 8305), under one deadline.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use url::Host;

use super::abort::AbortHandle;
use super::deadline::Deadline;
use super::detached::{self, To};
use super::opening::Opening;
use crate::error::{ConnectError, Error, Timeout};

/// How long one address has before the next is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// A name with more addresses than this is tried at the first ones only.
const MAX_ADDRESSES: usize = 8;

/// What the caller may do to a socket before it is used.
pub(crate) type SocketHook = Arc<dyn Fn(&TcpStream) -> io::Result<()> + Send + Sync>;
/// Looks up a name instead of the system.
pub(crate) type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;
/// Says whether an address may be connected to.
pub(crate) type AddressFilter = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

/// How sockets are connected.
#[derive(Clone)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: bool,
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
}

/// The addresses of a host: those to try, and those that the filter refused.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) allowed: Vec<SocketAddr>,
    refused: Vec<(SocketAddr, io::Error)>,
}

/// What reaches the thread that waits.
enum News {
    Resolved(io::Result<Vec<SocketAddr>>),
    Tried(SocketAddr, io::Result<TcpStream>),
    Aborted,
}

impl<'a> Dialer<'a> {
    /// What bounds the talk over a socket that is connected.
    pub(crate) fn opening(&self) -> Opening<'a> {
        Opening { deadline: self.deadline, abort: self.abort }
    }

    /// Connects to the first address of `host` that answers.
    pub(crate) fn connect(&self, host: &Host<String>, port: u16) -> Result<TcpStream, Error> {
        let Addresses { allowed, refused } = self.addresses(host, port)?;
        let stream = self.race(host, &allowed, refused)?;
        stream.set_nodelay(self.options.nodelay).map_err(Error::Io)?;
        if let Some(hook) = &self.options.on_socket {
            hook(&stream).map_err(Error::Io)?;
        }
        Ok(stream)
    }

    /// Looks up `host`, if it is a name, and asks the filter about each address. At least one is
    /// allowed.
    pub(crate) fn addresses(&self, host: &Host<String>, port: u16) -> Result<Addresses, Error> {
        let found = match host {
            Host::Ipv4(address) => vec![SocketAddr::new(IpAddr::V4(*address), port)],
            Host::Ipv6(address) => vec![SocketAddr::new(IpAddr::V6(*address), port)],
            Host::Domain(name) => self.resolve(name, port)?,
        };
        let (allowed, refused): (Vec<_>, Vec<_>) = match &self.options.filter {
            Some(filter) => found.into_iter().partition(|&address| {
                // An IPv4 address that is written as an IPv6 one is the same machine.
                filter(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }),
            None => (found, Vec::new()),
        };
        let refused = refused.into_iter().take(MAX_ADDRESSES).map(|address| {
            let why = "the address filter does not allow it";
            (address, io::Error::new(io::ErrorKind::PermissionDenied, why))
        });
        let refused = refused.collect();
        if allowed.is_empty() {
            let host = host.to_string();
            let error = ConnectError { host, resolve: None, attempts: refused };
            return Err(Error::Connect(Box::new(error)));
        }
        Ok(Addresses { allowed: interleave(allowed), refused })
    }

    fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let (sender, news) = self.news();
        let (resolver, owned) = (self.options.resolver.clone(), name.to_owned());
        let lookup = move || match resolver {
            Some(resolver) => resolver(&owned, port),
            None => (owned.as_str(), port).to_socket_addrs().map(Iterator::collect),
        };
        let _wanted = detached::submit(To::Resolver, move || {
            // The resolver may be the caller's.
            let found = catch_unwind(AssertUnwindSafe(lookup));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")));
            let _ = sender.send(News::Resolved(found));
        })
        .map_err(Error::Io)?;
        let failed = |error| ConnectError {
            host: name.to_owned(),
            resolve: Some(error),
            attempts: Vec::new(),
        };
        match wait(&news, self.deadline, Timeout::Resolve)? {
            News::Resolved(Ok(addresses)) if addresses.is_empty() => {
                let error = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
                Err(Error::Connect(Box::new(failed(error))))
            }
            News::Resolved(Ok(addresses)) => Ok(addresses),
            News::Resolved(Err(error)) => Err(Error::Connect(Box::new(failed(error)))),
            News::Tried(..) | News::Aborted => Err(Error::aborted()),
        }
    }

    fn race(
        &self,
        host: &Host<String>,
        addresses: &[SocketAddr],
        mut attempts: Vec<(SocketAddr, io::Error)>,
    ) -> Result<TcpStream, Error> {
        let (sender, news) = self.news();
        let deadline = self.deadline;
        let mut waiting = addresses.iter().peekable();
        let mut running = 0;
        let mut next_start = Deadline::at(Instant::now());
        loop {
            if waiting.peek().is_none() {
                next_start = Deadline::NEVER;
            }
            if next_start.is_past() && !deadline.is_past() {
                if let Some(&address) = waiting.next() {
                    try_address(address, deadline, sender.clone())?;
                    running += 1;
                    next_start = Deadline::after(Some(STAGGER));
                    continue;
                }
            }
            if running == 0 && next_start == Deadline::NEVER && !deadline.is_past() {
                let host = host.to_string();
                let error = ConnectError { host, resolve: None, attempts };
                return Err(Error::Connect(Box::new(error)));
            }
            match wait(&news, deadline.min(next_start), Timeout::Connect) {
                Ok(News::Tried(_, Ok(stream))) => return Ok(stream),
                Ok(News::Tried(address, Err(error))) => {
                    attempts.push((address, error));
                    running -= 1;
                    next_start = Deadline::at(Instant::now());
                }
                Ok(News::Resolved(_) | News::Aborted) => return Err(Error::aborted()),
                Err(error) if deadline.is_past() => return Err(error),
                Err(_) => {} // It is time for the next address.
            }
        }
    }

    /// A channel to wait at, on which an abort is news too.
    fn news(&self) -> (Sender<News>, Receiver<News>) {
        let (sender, news) = channel();
        let waker = sender.clone();
        self.abort.wake_with(move || {
            // Nobody waits any more if this fails.
            let _ = waker.send(News::Aborted);
        });
        (sender, news)
    }
}

/// The families in turn, the first one's first (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut turns = Vec::new();
    for address in first {
        turns.push(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns.truncate(MAX_ADDRESSES);
    turns
}

/// Tries one address in a thread of its own. A connection that comes too late is closed there.
fn try_address(address: SocketAddr, deadline: Deadline, sender: Sender<News>) -> Result<(), Error> {
    spawn("landline-connect", move || {
        let tried = match deadline.remaining(Instant::now()) {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            Some(remaining) => TcpStream::connect_timeout(&address, remaining),
            None => TcpStream::connect(address),
        };
        let tried = tried.and_then(|stream| {
            // A port in the ephemeral range that nobody listens on can connect to itself.
            if stream.local_addr()? == stream.peer_addr()? {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(stream)
        });
        let _ = sender.send(News::Tried(address, tried));
    })
}

pub(crate) fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let builder = thread::Builder::new().name(name.into()).stack_size(256 * 1024);
    builder.spawn(job).map_err(Error::Io).map(drop)
}

pub(crate) fn wait<T>(news: &Receiver<T>, deadline: Deadline, phase: Timeout) -> Result<T, Error> {
    let timed_out = Error::Timeout(phase);
    match deadline.remaining(Instant::now()) {
        Some(remaining) => news.recv_timeout(remaining).map_err(|error| match error {
            RecvTimeoutError::Timeout => timed_out,
            RecvTimeoutError::Disconnected => Error::aborted(),
        }),
        // The caller holds a sender, so this cannot fail.
        None => news.recv().map_err(|_| Error::aborted()),
    }
}
