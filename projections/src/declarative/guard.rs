//! A condition over a document and an event.

use bson::Bson;

use super::compile::{Compiled, Compiler};
use super::error::ApplyError;
use super::expression::Expression;
use super::members::Members;
use super::scope::{Bound, Scope};
use super::touched::Touched;
use super::value::is_true;

/// A compiled condition: an expression that is true as the server's `$cond` takes it.
#[derive(Debug, Clone)]
pub(super) struct Guard(Expression);

impl Guard {
    /// Compiles it.
    pub(super) fn compile(expression: &Bson) -> Compiled<Self> {
        Compiler::default().expression(expression, "").map(Self)
    }

    /// The fields that it looks at.
    pub(super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        touched.look(&self.0);
        touched
    }

    /// Whether it holds.
    pub(super) fn holds(&self, members: &dyn Members, bound: &Bound<'_>) -> Result<bool, ApplyError> {
        let scope = Scope { root: Some(members), bound, frame: None, gaps: None };
        Ok(is_true(self.0.evaluate(&scope)?.as_deref()))
    }
}
