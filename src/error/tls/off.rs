//! The stub for when the feature `tls-core` is off: there are no errors of TLS then.

use super::{Explained, StdError, TlsProblem, fmt};

pub(super) fn problem(_: &(dyn StdError + 'static)) -> TlsProblem {
    TlsProblem::Other
}

pub(super) fn explain(_: &mut fmt::Formatter<'_>, _: &Explained<'_>) -> Option<fmt::Result> {
    None
}
