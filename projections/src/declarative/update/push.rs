//! `$push`, with `$each`, `$position`, `$sort` and `$slice`.

use bson::Bson;

use super::now::{Now, items};
use crate::declarative::error::ApplyError;
use crate::declarative::expression::Expression;
use crate::declarative::sorting::Sort;

/// What is pushed, and what is done then.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) operand: Expression,
    /// Whether the operand is the items, and not the one item.
    pub(super) is_each: bool,
    pub(super) position: Option<i64>,
    pub(super) sort: Option<Sort>,
    pub(super) slice: Option<i64>,
}

impl Push {
    /// The items to push; none if the operand is missing.
    pub(super) fn items(&self, now: &Now<'_>) -> Result<Option<Vec<Bson>>, ApplyError> {
        items(now.value(&self.operand)?, self.is_each).map_err(|fault| fault.of("$push"))
    }

    /// Pushes them, then sorts, then cuts.
    pub(super) fn add(&self, array: &mut Vec<Bson>, items: Vec<Bson>) {
        let at = match self.position {
            None => array.len(),
            Some(position) if position < 0 => array.len().saturating_sub(size(position)),
            Some(position) => size(position).min(array.len()),
        };
        array.splice(at..at, items);
        if let Some(sort) = &self.sort {
            sort.apply(array);
        }
        match self.slice {
            Some(slice) if slice < 0 => drop(array.drain(..array.len().saturating_sub(size(slice)))),
            Some(slice) => array.truncate(size(slice)),
            None => {}
        }
    }
}

fn size(number: i64) -> usize {
    usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)
}
