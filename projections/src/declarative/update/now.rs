//! What is bound while an update is applied.

use std::borrow::Cow;

use bson::Bson;

use crate::declarative::error::{ApplyError, Fault};
use crate::declarative::expression::Expression;
use crate::declarative::scope::{Bound, Scope};
use crate::declarative::value::expected;

/// The event, whether the document is new, and the fields that renames have taken away.
#[derive(Debug)]
pub(super) struct Now<'a> {
    pub(super) bound: &'a Bound<'a>,
    pub(super) is_new: bool,
    pub(super) renamed: Vec<Option<Bson>>,
}

impl Now<'_> {
    /// The value of an operand; none if it is missing.
    pub(super) fn value(&self, operand: &Expression) -> Result<Option<Bson>, ApplyError> {
        let scope = Scope { root: None, bound: self.bound, frame: None, gaps: None };
        Ok(operand.evaluate(&scope)?.map(Cow::into_owned))
    }

    /// Whether an operand is missing.
    pub(super) fn is_missing(&self, operand: &Expression) -> Result<bool, ApplyError> {
        let scope = Scope { root: None, bound: self.bound, frame: None, gaps: None };
        Ok(operand.evaluate(&scope)?.is_none())
    }
}

/// The items of an operand: each of an array, or the one.
pub(super) fn items(value: Option<Bson>, is_each: bool) -> Result<Option<Vec<Bson>>, Fault> {
    match (value, is_each) {
        (None, _) => Ok(None),
        (Some(value), false) => Ok(Some(vec![value])),
        (Some(Bson::Array(items)), true) => Ok(Some(items)),
        (Some(other), true) => expected("an array", Some(&other)),
    }
}
