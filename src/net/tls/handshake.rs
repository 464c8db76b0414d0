//! The TLS handshake on a connected stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;

use super::cipher::Cipher;
use super::options::TlsOptions;
use super::session::Session;
use super::stream::TlsStream;
use super::verifier::invalid;
use crate::error::{Error, Timeout, TlsError};
use crate::net::duplex::{Duplex, is_timeout};
use crate::net::opening::{Exchange, Opening};
use crate::net::stream::Stream;
use crate::proto::url::Host;

/// A TLS connection whose handshake has not begun.
pub(crate) struct Prepared {
    session: Session,
    /// The names of the roots that are trusted, for the text of an error.
    trusted: String,
}

/// Prepares TLS with `host`. Fails, before any socket is opened, if the options do not work.
pub(crate) fn prepare(options: &TlsOptions, host: &Host) -> Result<Prepared, Error> {
    let tls = UnbufferedClientConnection::new(options.config()?, options.name(host)?).map_err(
        |error| match error {
            rustls::Error::FailedToGetRandomBytes => no_random(error),
            error => invalid(&error.to_string()).into(),
        },
    )?;
    let trusted = match options.given {
        Some(_) => "the roots of the given `ClientConfig`".into(),
        None => options.describe_roots(),
    };
    Ok(Prepared { session: Session::new(tls), trusted })
}

impl Prepared {
    /// Does the TLS handshake over a connected stream.
    pub(crate) fn handshake(
        self,
        stream: Arc<dyn Stream>,
        opening: Opening<'_>,
    ) -> Result<Duplex, Error> {
        let Self { session, trusted } = self;
        let mut exchange = Exchange::plain(stream.clone(), opening);
        let mut cipher = Cipher::default();
        loop {
            if opening.deadline.is_past() {
                return Err(Error::Timeout(Timeout::Tls));
            }
            let done = session.shake_hands(&mut cipher);
            session.encrypt(&mut Vec::new(), exchange.stage()).map_err(Error::Io)?;
            if let Err(error) = done {
                // An alert tells the server why, if the system takes it at once.
                exchange.shorten(Duration::ZERO);
                let _ = exchange.flush();
                return Err(match error {
                    rustls::Error::FailedToGetRandomBytes => no_random(error),
                    error => Error::Tls(Box::new(TlsError::new(error).trusting(trusted))),
                });
            }
            exchange.flush().map_err(io_failed)?;
            if let Ok(true) = done {
                return Ok(Duplex::new(stream, Some(session)));
            }
            let len = exchange.read(cipher.space()).map_err(io_failed)?;
            if len == 0 {
                return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            cipher.filled(len);
        }
    }

    /// Does the TLS handshake, and returns a stream that speaks TLS.
    pub(crate) fn open_stream(
        self,
        stream: Arc<dyn Stream>,
        opening: Opening<'_>,
    ) -> Result<Arc<dyn Stream>, Error> {
        Ok(Arc::new(TlsStream::new(self.handshake(stream, opening)?)))
    }
}

/// Returns the error of a system that gives no random bytes. Later it may give some.
fn no_random(error: rustls::Error) -> Error {
    Error::Io(io::Error::other(error))
}

fn io_failed(error: io::Error) -> Error {
    if is_timeout(&error) { Error::Timeout(Timeout::Tls) } else { Error::Io(error) }
}

/// Returns the error of TLS that travels inside an I/O error, or the I/O error if there is none.
pub(crate) fn error_within(error: io::Error) -> Result<rustls::Error, io::Error> {
    error.downcast()
}

fn failed(error: io::Error) -> Error {
    Error::Tls(Box::new(TlsError::new(error)))
}
