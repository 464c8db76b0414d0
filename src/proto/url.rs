//! Reads URLs (RFC 3986). With the feature `url` a URL is read as the URL Standard says, by the
//! crate of that name. Without the feature a strict parser reads ordinary URLs, and refuses others.
//! Both give the same [`Url`], so nothing else in landline depends on the feature.

#[cfg_attr(feature = "url", path = "url/standard.rs")]
#[cfg_attr(not(feature = "url"), path = "url/strict.rs")]
mod parser;
mod parts;

pub(crate) use parser::{parse, parse_host};
pub(crate) use parts::{Host, Url};
