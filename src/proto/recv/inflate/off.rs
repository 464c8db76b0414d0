//! What stands for the inflater without the feature `deflate`: there is none.

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

    /// Not called: no message is taken for a compressed one.
    pub(super) fn inflate(
        &mut self,
        _: OpenFrame,
        _: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        Err(Violation::ReservedBits)
    }
}
