//! What the feature `log` says of connecting. Never a secret.

#[cfg(feature = "log")]
pub(super) use on::{exception_skipped, log_head, proxy_skipped};

#[cfg(feature = "log")]
mod on {
    use crate::proto::http::{is_secret, is_token};

    /// Logs a head, a line each, control characters escaped: of headers that may hold a secret the
    /// name only, of the resource nothing, for a path may be a secret too.
    pub(crate) fn log_head(what: &str, head: &[u8]) {
        for (at, line) in head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
            let line = String::from_utf8_lossy(line);
            match (at, line.split_once(" /"), line.split_once(':')) {
                _ if line.is_empty() => {}
                (0, Some(("GET", _)), _) => log::debug!("{what}: GET ***"),
                (1.., _, Some((name, _))) if is_token(name) && is_secret(name) => {
                    log::debug!("{what}: {name}: ***");
                }
                // A malformed line may be a secret from its first byte on.
                (1.., _, name) if name.is_none_or(|(name, _)| !is_token(name)) => {
                    log::debug!("{what}: ***");
                }
                _ => log::debug!("{what}: {}", line.escape_debug()),
            }
        }
    }

    /// Logs that a variable of the environment names no proxy.
    pub(crate) fn proxy_skipped(variable: &str) {
        log::warn!("{variable} is skipped: it names no proxy that is understood");
    }

    /// Logs that an entry of a list of exceptions, counted from 1, is not understood.
    pub(crate) fn exception_skipped(variable: &str, at: usize) {
        log::debug!("{variable}: entry {at} is skipped: it is not understood");
    }
}

#[cfg(not(feature = "log"))]
pub(super) fn log_head(_: &str, _: &[u8]) {}

#[cfg(not(feature = "log"))]
pub(super) fn proxy_skipped(_: &str) {}

#[cfg(not(feature = "log"))]
pub(super) fn exception_skipped(_: &str, _: usize) {}
