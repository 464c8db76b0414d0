//! Speaks the client's side of SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): gives the bytes to send, and
//! the meaning of the proxy's answers.

use core::fmt;
use core::mem;
use core::net::IpAddr;

use super::error::SocksError;

const VERSION_5: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xFF;
/// The reply code of SOCKS 4 for "request granted".
const GRANTED_4: u8 = 0x5A;

/// The maximum length of a user, a password or a name, in bytes. Their length is sent as one byte.
pub const MAX_FIELD: usize = 255;

/// Names the version of SOCKS. Version 4a is version 4 with a name as destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Version {
    /// SOCKS 4 and 4a, for IPv4 addresses and names.
    V4,
    /// SOCKS 5.
    V5,
}

/// Names the host that the proxy must connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Destination<'a> {
    /// A name, which the proxy looks up.
    Name(&'a str),
    /// An address. With [`Version::V4`] it must be IPv4.
    Address(IpAddr),
}

/// Does the handshake with the proxy, without I/O.
///
/// While [`missing`](Self::missing) is not zero, the driver sends the bytes of
/// [`take_output`](Self::take_output), reads at most `missing` bytes, and gives them to
/// [`receive`](Self::receive). When it is zero, the connection is the tunnel, and all bytes that
/// follow are the destination's.
pub struct Handshake<'a> {
    version: Version,
    destination: Destination<'a>,
    port: u16,
    credentials: Option<(&'a str, &'a str)>,
    awaited: Awaited,
    output: Vec<u8>,
    answer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Method,
    PasswordVerdict,
    Reply5,
    Reply4,
    Nothing,
}

/// Tells why a request cannot be made in this version of SOCKS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A user, a password or a name has more than [`MAX_FIELD`] bytes, or a user or name is empty.
    FieldLength,
    /// The destination is an IPv6 address, which SOCKS 4 does not have.
    Ipv6,
    /// The destination is one of the addresses 0.0.0.1 to 0.0.0.255, which say in SOCKS 4a that a
    /// name follows.
    NameMarker,
    /// There is a password, which SOCKS 4 does not have.
    Password,
    /// A user or a name has a zero byte, which ends them in SOCKS 4.
    Zero,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FieldLength => {
                "SOCKS needs a user and a host of 1 to 255 bytes, and a password of at most 255"
            }
            Self::Ipv6 => "SOCKS 4 cannot reach an IPv6 address",
            Self::NameMarker => "SOCKS 4 cannot reach the addresses 0.0.0.1 to 0.0.0.255",
            Self::Password => "SOCKS 4 has no password",
            Self::Zero => "SOCKS 4 cannot send a zero byte",
        })
    }
}

impl core::error::Error for RequestError {}

impl<'a> Handshake<'a> {
    /// Begins the handshake. `credentials` are user and password. With SOCKS 4 the password must be
    /// empty.
    ///
    /// # Errors
    /// [`RequestError`] if the request cannot be made in this version.
    pub fn new(
        version: Version,
        destination: Destination<'a>,
        port: u16,
        credentials: Option<(&'a str, &'a str)>,
    ) -> Result<Self, RequestError> {
        check_destination(version, &destination)?;
        if let Some((user, password)) = credentials {
            check_credentials(version, user, password)?;
        }
        let (awaited, output) = match version {
            Version::V4 => {
                let user = credentials.map_or("", |(user, _)| user);
                (Awaited::Reply4, request_4(&destination, port, user))
            }
            Version::V5 if credentials.is_some() => {
                (Awaited::Method, vec![VERSION_5, 2, NO_AUTHENTICATION, USER_AND_PASSWORD])
            }
            Version::V5 => (Awaited::Method, vec![VERSION_5, 1, NO_AUTHENTICATION]),
        };
        let answer = Vec::new();
        Ok(Self { version, destination, port, credentials, awaited, output, answer })
    }

    /// Returns the bytes to send now; none while the answer to the last ones is incomplete.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Returns the minimum number of bytes that must still come before the tunnel is open; zero if
    /// it is open. A driver that never reads more than this number at a time takes no byte of what
    /// follows.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.answer_len().saturating_sub(self.answer.len())
    }

    /// Takes bytes that the proxy sent, at most [`missing`](Self::missing). More are ignored.
    ///
    /// # Errors
    /// [`SocksError`] if the proxy does not open the tunnel. Close the connection then.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SocksError> {
        let len = bytes.len().min(self.missing());
        self.answer.extend_from_slice(&bytes[..len]);
        self.check_version()?;
        self.check_refusal()?;
        if self.missing() == 0 {
            self.advance()?;
        }
        Ok(())
    }

    /// Returns the length of the answer that is awaited, as far as it is known.
    fn answer_len(&self) -> usize {
        match (self.awaited, &self.answer[..]) {
            (Awaited::Method | Awaited::PasswordVerdict, _) => 2,
            (Awaited::Reply4, _) => 8,
            // RFC 1928 section 6: version, reply, reserved, address type, address, port.
            (Awaited::Reply5, [_, _, _, 1, ..]) => 4 + 4 + 2,
            (Awaited::Reply5, [_, _, _, 3]) => 5,
            (Awaited::Reply5, [_, _, _, 3, len, ..]) => 5 + usize::from(*len) + 2,
            (Awaited::Reply5, [_, _, _, 4, ..]) => 4 + 16 + 2,
            (Awaited::Reply5, _) => 4,
            (Awaited::Nothing, _) => 0,
        }
    }

    fn check_version(&self) -> Result<(), SocksError> {
        let Some(&first) = self.answer.first() else { return Ok(()) };
        let right = match self.awaited {
            Awaited::Method | Awaited::Reply5 => first == VERSION_5,
            // RFC 1929 says 1, but some proxies send 5.
            Awaited::PasswordVerdict => first == 1 || first == VERSION_5,
            // The version of the reply code is 0, but some proxies send 4.
            Awaited::Reply4 => first == 0 || first == 4,
            Awaited::Nothing => true,
        };
        if right { Ok(()) } else { Err(SocksError::NotSocks(first)) }
    }

    /// Fails if the second byte of the answer is a refusal, without waiting for the rest.
    fn check_refusal(&self) -> Result<(), SocksError> {
        let [_, code, rest @ ..] = &self.answer[..] else { return Ok(()) };
        match (self.awaited, *code) {
            (Awaited::Method, NO_ACCEPTABLE_METHOD) => Err(SocksError::NoAcceptableMethod),
            (Awaited::PasswordVerdict, 1..) => Err(SocksError::WrongPassword),
            (Awaited::Reply4, code) if code != GRANTED_4 => Err(SocksError::Refused4(code)),
            (Awaited::Reply5, code @ 1..) => Err(SocksError::Refused5(code)),
            (Awaited::Reply5, _) => match rest {
                [_, kind, ..] if !matches!(kind, 1 | 3 | 4) => Err(SocksError::AddressType(*kind)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Goes on to the next step. The answer is complete, and is no refusal.
    fn advance(&mut self) -> Result<(), SocksError> {
        let answer = mem::take(&mut self.answer);
        (self.awaited, self.output) = match (self.awaited, answer.get(1), self.credentials) {
            (Awaited::Method, Some(&USER_AND_PASSWORD), Some((user, password))) => {
                (Awaited::PasswordVerdict, user_and_password(user, password))
            }
            (Awaited::Method, Some(&method), _) if method != NO_AUTHENTICATION => {
                return Err(SocksError::Method(method));
            }
            (Awaited::Method | Awaited::PasswordVerdict, ..) => {
                (Awaited::Reply5, request_5(&self.destination, self.port))
            }
            (Awaited::Reply5 | Awaited::Reply4 | Awaited::Nothing, ..) => {
                (Awaited::Nothing, Vec::new())
            }
        };
        Ok(())
    }
}

impl fmt::Debug for Handshake<'_> {
    /// Leaves out the credentials, and the bytes that hold them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("version", &self.version)
            .field("destination", &self.destination)
            .field("port", &self.port)
            .field("awaited", &self.awaited)
            .finish_non_exhaustive()
    }
}

/// Checks whether this version can ask for the destination, as [`Handshake::new`] does.
///
/// # Errors
/// The reason why it cannot.
pub fn check_destination(
    version: Version,
    destination: &Destination<'_>,
) -> Result<(), RequestError> {
    match destination {
        Destination::Name(name) => check_field(version, name),
        Destination::Address(_) if version == Version::V5 => Ok(()),
        Destination::Address(IpAddr::V6(_)) => Err(RequestError::Ipv6),
        Destination::Address(IpAddr::V4(address)) => match address.octets() {
            [0, 0, 0, 1..=255] => Err(RequestError::NameMarker),
            _ => Ok(()),
        },
    }
}

/// Checks whether this version can send the user and the password, as [`Handshake::new`] does.
///
/// # Errors
/// The reason why it cannot.
pub fn check_credentials(version: Version, user: &str, password: &str) -> Result<(), RequestError> {
    check_field(version, user)?;
    match version {
        Version::V4 if !password.is_empty() => Err(RequestError::Password),
        _ if password.len() > MAX_FIELD => Err(RequestError::FieldLength),
        _ => Ok(()),
    }
}

fn check_field(version: Version, text: &str) -> Result<(), RequestError> {
    if text.is_empty() || text.len() > MAX_FIELD {
        return Err(RequestError::FieldLength);
    }
    if version == Version::V4 && text.contains('\0') {
        return Err(RequestError::Zero);
    }
    Ok(())
}

fn request_4(destination: &Destination<'_>, port: u16, user: &str) -> Vec<u8> {
    let mut request = vec![4, CONNECT];
    request.extend(port.to_be_bytes());
    match destination {
        Destination::Address(IpAddr::V4(address)) => request.extend(address.octets()),
        // SOCKS 4a: an address that does not exist, and the name after the user.
        _ => request.extend([0, 0, 0, 1]),
    }
    request.extend(user.bytes().chain([0]));
    if let Destination::Name(name) = destination {
        request.extend(name.bytes().chain([0]));
    }
    request
}

/// Returns the request of SOCKS 5 (RFC 1928 section 4).
fn request_5(destination: &Destination<'_>, port: u16) -> Vec<u8> {
    let mut request = vec![VERSION_5, CONNECT, 0];
    match destination {
        Destination::Address(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Destination::Address(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        Destination::Name(name) => {
            request.push(3);
            put_field(&mut request, name);
        }
    }
    request.extend(port.to_be_bytes());
    request
}

/// Returns the request that has user and password (RFC 1929 section 2).
fn user_and_password(user: &str, password: &str) -> Vec<u8> {
    let mut request = vec![1];
    put_field(&mut request, user);
    put_field(&mut request, password);
    request
}

/// Appends one byte for the length, which was checked, and the text.
fn put_field(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.bytes().take(MAX_FIELD));
}
