//! The stub of the inflater for when the feature `deflate` is off.

#![allow(clippy::needless_pass_by_ref_mut)] // The signatures are those of the feature.

use super::frames::{OpenFrame, OpenMessage};
use super::{Decoder, Found};
use crate::proto::deflate::DeflateParameters;
use crate::proto::error::Violation;

#[derive(Debug)]
pub(super) enum Inflater {}

impl Inflater {
    pub(super) fn shrink(&mut self) {
        match *self {}
    }
}

impl Decoder {
    pub(crate) fn accept_deflate(&mut self, parameters: &DeflateParameters) {
        match *parameters {}
    }

    /// Is never called: without an inflater no message counts as compressed.
    pub(super) fn inflate(
        &mut self,
        _: OpenFrame,
        _: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        Err(Violation::ReservedBits)
    }
}
