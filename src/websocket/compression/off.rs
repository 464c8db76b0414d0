//! Stands for compression without the feature `deflate`. No connection ever has a [`Deflation`].

use super::wire::Wire;
use crate::error::Error;
use crate::proto::deflate::compress::Compressor;
use crate::proto::deflate::{Deflate, DeflateParameters};
use crate::proto::message::MessageRef;
use crate::proto::send::EncodeError;
use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) enum Deflation {}

impl Deflation {
    pub(crate) fn new(options: &Deflate, _: DeflateParameters) -> Self {
        match *options {}
    }

    pub(super) fn compressor(&self, _: Option<usize>) -> Option<&Mutex<Compressor>> {
        match *self {}
    }

    pub(crate) fn shrink(&self) {
        match *self {}
    }
}

#[allow(clippy::needless_pass_by_ref_mut)] // The signature is that of the feature.
pub(super) fn pack(_: &mut Compressor, _: &[u8], _: &mut Vec<u8>) -> Result<(), EncodeError> {
    Err(EncodeError::NotCompressed)
}

pub(super) fn batch(_: &Wire, deflation: &Deflation, _: &[MessageRef<'_>]) -> Result<(), Error> {
    match *deflation {}
}
