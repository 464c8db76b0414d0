//! The TLS handshake on a connected stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use url::Host;

use super::options::TlsOptions;
use super::session::Session;
use super::stream::TlsStream;
use super::verifier::invalid;
use crate::error::{Error, Timeout, TlsError};
use crate::net::duplex::{Duplex, is_timeout};
use crate::net::opening::{Exchange, Opening};
use crate::net::stream::Stream;

/// A TLS connection whose handshake has not begun.
#[derive(Debug)]
pub(crate) struct Prepared {
    connection: ClientConnection,
    /// The names of the roots that are trusted, for the text of an error.
    trusted: String,
}

/// Prepares TLS with `host`. Fails, before any socket is opened, if the options do not work.
pub(crate) fn prepare(options: &TlsOptions, host: &Host<String>) -> Result<Prepared, Error> {
    let connection = ClientConnection::new(options.config()?, options.name(host)?)
        .map_err(|error| invalid(&error.to_string()))?;
    let trusted = match options.given {
        true => "the roots of the given `ClientConfig`".into(),
        false => options.describe_roots(),
    };
    Ok(Prepared { connection, trusted })
}

impl Prepared {
    /// Does the TLS handshake over a connected stream.
    pub(crate) fn handshake(
        self,
        stream: Arc<dyn Stream>,
        opening: Opening<'_>,
    ) -> Result<Duplex, Error> {
        let Self { connection: mut tls, trusted } = self;
        let mut exchange = Exchange::plain(stream.clone(), opening);
        let mut buffer = vec![0; 8 * 1024];
        while tls.is_handshaking() || tls.wants_write() {
            if opening.deadline.is_past() {
                return Err(Error::Timeout(Timeout::Tls));
            }
            while tls.wants_write() {
                tls.write_tls(exchange.stage()).map_err(Error::Io)?;
            }
            exchange.flush().map_err(io_failed)?;
            if !tls.is_handshaking() {
                break;
            }
            let len = exchange.read(&mut buffer).map_err(io_failed)?;
            if len == 0 {
                return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            let mut received = &buffer[..len];
            while !received.is_empty() {
                // After close_notify rustls takes no more bytes.
                if tls.read_tls(&mut received).map_err(failed)? == 0 {
                    break;
                }
                if let Err(error) = tls.process_new_packets() {
                    // An alert tells the server why, if the system takes it at once.
                    let _ = tls.write_tls(exchange.stage());
                    exchange.shorten(Duration::ZERO);
                    let _ = exchange.flush();
                    return Err(Error::Tls(Box::new(TlsError::new(error).trusting(trusted))));
                }
            }
        }
        Ok(Duplex::new(stream, Some(Session::new(tls))))
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
