//! Errors of a definition, found when it is compiled, and of one event, found when it is applied.

use thiserror::Error;

/// A definition that can't be compiled: where, what is wrong, and what may have been meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {problem}{}", hint(meant.as_deref()))]
pub struct CompileError {
    /// The way to the part that is wrong, such as `[0].$set.total.$ad`.
    pub at: String,
    /// What is wrong with it.
    pub problem: String,
    /// The nearest name that is known, if one is near.
    pub meant: Option<String>,
}

fn hint(meant: Option<&str>) -> String {
    meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl CompileError {
    pub(super) fn new(at: &str, problem: impl Into<String>) -> Self {
        let at = if at.is_empty() { "the definition" } else { at };
        Self { at: at.to_owned(), problem: problem.into(), meant: None }
    }
}

/// An event whose update fails on a document, as it would on the server. The document may be half changed
/// then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The server refuses it as well: a value of the wrong type, an overflow, a path through a scalar.
    #[error("{operator}: {reason}")]
    Wrong {
        /// The operator, or the path of an update.
        operator: String,
        /// The reason.
        reason: String,
    },
    /// The server could do it, but its very result can't be had here.
    #[error("{operator} isn't supported here: {reason}")]
    Refused {
        /// The operator.
        operator: String,
        /// The reason.
        reason: String,
    },
}

/// A failure of an operator that doesn't know its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// As on the server.
    Wrong(String),
    /// Only here.
    Refused(String),
}

impl Fault {
    pub(super) fn of(self, operator: &str) -> ApplyError {
        let operator = operator.to_owned();
        match self {
            Self::Wrong(reason) => ApplyError::Wrong { operator, reason },
            Self::Refused(reason) => ApplyError::Refused { operator, reason },
        }
    }
}

/// Fails as the server does.
pub(super) fn wrong<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wrong(reason.into()))
}

/// Fails, because the server's result can't be had.
pub(super) fn refused<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Refused(reason.into()))
}
