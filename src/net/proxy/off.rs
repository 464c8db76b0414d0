//! Stands for proxies without the feature `proxy`: servers are connected to directly. A `Proxy` has
//! no value, so the compiler leaves out the code that would use one.

use std::borrow::Cow;

use super::url::ServerUrl;
use crate::error::InvalidInput;
use crate::proto::url::Host;

/// Describes a proxy. Without the feature `proxy` there is none.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Proxy {}

impl Proxy {
    pub(crate) fn check_host(&self, _: &Host) -> Result<(), InvalidInput> {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Environment,
    Never,
    This(Box<Proxy>),
}

impl Choice {
    /// Returns that there is no proxy.
    pub(crate) fn choose(&self, _: &ServerUrl) -> Result<Option<Cow<'_, Proxy>>, InvalidInput> {
        match self {
            Self::Environment | Self::Never => Ok(None),
            Self::This(proxy) => match **proxy {},
        }
    }
}

pub(crate) mod tunnel {
    use std::sync::Arc;

    use super::Proxy;
    use crate::error::Error;
    use crate::net::stream::Stream;
    use crate::net::tcp::Dialer;
    use crate::proto::url::Host;

    pub(crate) fn open(
        _: &Dialer<'_>,
        proxy: &Proxy,
        _: &Host,
        _: u16,
        _: Option<&str>,
    ) -> Result<Arc<dyn Stream>, Error> {
        match *proxy {}
    }
}
