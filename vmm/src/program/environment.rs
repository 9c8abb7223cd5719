//! The program's environment: a few variables of pagelab's own, never the host's.

use std::{ffi::OsString, str::FromStr};
use thiserror::Error;

/// What every program finds, so that a run does not depend on who starts it.
pub const DEFAULT_ENVIRONMENT: [(&str, &str); 3] =
    [("HOME", "/"), ("PATH", "/bin:/usr/bin"), ("TERM", "dumb")];

/// A variable, as `--env NAME=VALUE` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name, not empty.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Why a variable cannot be set.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("'{0}' sets no variable; write NAME=VALUE, such as LANG=C")]
pub struct VariableError(String);

impl FromStr for Variable {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, VariableError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(VariableError(text.to_owned())),
        }
    }
}

/// The default environment with these variables set in their order.
pub(super) fn merged(more: &[Variable]) -> Vec<OsString> {
    let mut all = DEFAULT_ENVIRONMENT.to_vec();
    for Variable { name, value } in more {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => all.push((name, value)),
        }
    }
    let text = |(name, value)| OsString::from(format!("{name}={value}"));
    all.into_iter().map(text).collect()
}
