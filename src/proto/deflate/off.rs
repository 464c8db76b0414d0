//! The stub of permessage-deflate for when the feature `deflate` is off. Its types have no value,
//! so the compiler leaves out all code that would use one.

#![allow(clippy::needless_pass_by_ref_mut)] // The signatures are those of the feature.
#![allow(unnameable_types)] // They stand in fields that are always `None`.

use super::error::Mismatch;

#[derive(Clone, Copy, Debug)]
pub enum Deflate {}

pub(crate) fn out_of_range(deflate: &Deflate) -> Option<&'static str> {
    match *deflate {}
}

pub(crate) fn offer(deflate: &Deflate) -> String {
    match *deflate {}
}

pub(crate) fn agree<'a>(
    deflate: &Deflate,
    _: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<DeflateParameters>, Mismatch> {
    match *deflate {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeflateParameters {}

pub(crate) mod compress {
    use crate::proto::send::EncodeError;

    #[derive(Debug)]
    pub(crate) enum Compressor {}

    impl Compressor {
        pub(crate) fn push(&mut self, _: &mut &[u8]) -> Result<bool, EncodeError> {
            match *self {}
        }

        pub(crate) fn flush(&mut self) -> Result<bool, EncodeError> {
            match *self {}
        }

        pub(crate) fn finish(&mut self) -> Result<bool, EncodeError> {
            match *self {}
        }

        pub(crate) fn chunk(&self) -> &[u8] {
            match *self {}
        }

        pub(crate) fn abandon(&mut self) {
            match *self {}
        }
    }
}
