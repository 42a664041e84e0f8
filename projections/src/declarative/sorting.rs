//! Sorting of arrays: whole values, or by fields of their documents.

use std::cmp::Ordering;

use bson::Bson;

use super::number::Number;
use super::order::compare;
use super::path;

/// The order of a sort.
#[derive(Debug, Clone)]
pub(super) enum Sort {
    /// Of whole values; true if descending.
    Values(bool),
    /// Of fields, each descending or not.
    Fields(Vec<(Vec<String>, bool)>),
}

impl Sort {
    /// Reads `1`, `-1` or `{ field: 1, … }`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(value: &Bson) -> Result<Self, String> {
        let Bson::Document(fields) = value else { return direction(value).map(Self::Values) };
        if fields.is_empty() {
            return Err("a sort needs a field".to_owned());
        }
        let field = |(name, value): (&String, &Bson)| Ok((path::parse(name)?, direction(value)?));
        fields.iter().map(field).collect::<Result<_, String>>().map(Self::Fields)
    }

    /// Sorts; equal ones stay in their order.
    pub(super) fn apply(&self, items: &mut [Bson]) {
        items.sort_by(|one, other| self.compare(one, other));
    }

    fn compare(&self, one: &Bson, other: &Bson) -> Ordering {
        let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
        match self {
            Self::Values(descending) => turned(compare(Some(one), Some(other)), *descending),
            Self::Fields(fields) => {
                let mut orders = fields.iter().map(|(path, descending)| {
                    turned(compare(Some(key(one, path)), Some(key(other, path))), *descending)
                });
                orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
        }
    }
}

fn direction(value: &Bson) -> Result<bool, String> {
    match Number::of(value).and_then(Number::as_int) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err("a sort's direction is 1 or -1".to_owned()),
    }
}

/// What a document is sorted by; null where there is nothing. Items of arrays are found by their number.
fn key<'a>(value: &'a Bson, path: &[String]) -> &'a Bson {
    if !matches!(value, Bson::Document(_)) {
        return &Bson::Null;
    }
    let found = path.iter().try_fold(value, |value, name| match value {
        Bson::Document(document) => document.get(name),
        Bson::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
        _ => None,
    });
    found.unwrap_or(&Bson::Null)
}
