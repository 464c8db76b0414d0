//! Secrets on the command line, in files and in the environment. They are never shown.

use std::env;
use std::fs;
use std::str::FromStr;

/// Tells where a secret comes from.
#[derive(Clone)]
pub(crate) enum Source {
    Given(String),
    File(String),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    /// Reads `@FILE`, or the secret itself.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.to_owned()),
            None => Self::Given(text.to_owned()),
        })
    }
}

/// Returns the secret that an option gives, or else an environment variable. The end of the line is
/// no part of it.
pub(crate) fn read(
    option: &str,
    source: Option<Source>,
    variable: &str,
) -> Result<Option<String>, String> {
    let secret = match source {
        Some(Source::Given(secret)) => Some(secret),
        Some(Source::File(path)) => Some(
            fs::read_to_string(&path)
                .map_err(|error| format!("{option}: cannot read {path:?}: {error}"))?,
        ),
        None => env::var(variable).ok().filter(|secret| !secret.is_empty()),
    };
    let secret = secret.map(|secret| secret.trim_end_matches(['\r', '\n']).to_owned());
    if secret.as_deref().is_some_and(str::is_empty) {
        return Err(format!("{option}: the secret is empty; leave the option out"));
    }
    Ok(secret)
}

/// Cuts `USER:PASSWORD` at the first colon.
pub(crate) fn login(option: &str, secret: &str) -> Result<(String, String), String> {
    let (user, password) = secret
        .split_once(':')
        .ok_or_else(|| format!("{option}: give USER:PASSWORD, with a colon in between"))?;
    Ok((user.to_owned(), password.to_owned()))
}
