//! Stands for TLS without the feature `tls-core`. The types of a connection have no value, so the
//! compiler leaves out the code that would use one.

#![allow(clippy::needless_pass_by_ref_mut)] // The signatures are those of the feature.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use super::duplex::Duplex;
use super::opening::Opening;
use super::stream::Stream;
use crate::error::{Error, InvalidInput};
use crate::proto::url::Host;

/// Stands for the options of TLS: there are none.
#[derive(Clone)]
pub(crate) struct TlsOptions(());

impl TlsOptions {
    pub(crate) fn shared() -> Self {
        Self(())
    }

    pub(crate) fn for_stranger(&self) -> Self {
        self.clone()
    }
}

#[derive(Debug)]
pub(crate) enum Prepared {}

/// Fails: TLS needs the feature.
pub(crate) fn prepare(_: &TlsOptions, _: &Host) -> Result<Prepared, Error> {
    Err(InvalidInput::Url("wss needs the feature \"tls\"".into()).into())
}

impl Prepared {
    pub(crate) fn handshake(self, _: Arc<dyn Stream>, _: Opening<'_>) -> Result<Duplex, Error> {
        match self {}
    }

    pub(crate) fn open_stream(
        self,
        _: Arc<dyn Stream>,
        _: Opening<'_>,
    ) -> Result<Arc<dyn Stream>, Error> {
        match self {}
    }
}

#[derive(Debug, Default)]
pub(crate) struct Cipher(());

impl Cipher {
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut []
    }

    pub(crate) fn filled(&mut self, _: usize) {}
}

pub(crate) enum Session {}

impl Session {
    pub(crate) fn decrypt(
        &self,
        _: &mut Cipher,
        _: &mut bool,
        _: &mut [u8],
    ) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub(crate) fn shrink(&self, _: &mut Cipher) {
        match *self {}
    }

    pub(crate) fn encrypt(&self, _: &mut Vec<u8>, _: &mut Vec<u8>) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn send_close_notify(&self) {
        match *self {}
    }
}

/// Returns the I/O error: none is one of TLS.
pub(crate) fn error_within(error: io::Error) -> Result<Infallible, io::Error> {
    Err(error)
}

/// Returns `true` for every host: [`prepare`] fails anyway.
pub(crate) fn can_name(_: &Host) -> bool {
    true
}
