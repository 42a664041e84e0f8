//! An operator that is a function of its arguments' values, and the shapes its arguments may have.

use super::value::{Args, Outcome};

/// Operators that aren't functions of their arguments' values.
pub(super) const FORMS: [&str; 12] = [
    "$literal", "$and", "$or", "$ifNull", "$cond", "$switch", "$let", "$map", "$filter", "$reduce",
    "$convert", "$expr",
];

/// An operator.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) call: fn(&Args<'_>) -> Outcome,
}

/// The arguments of an operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// A list of so many; one argument may stand without its list.
    List(usize, usize),
    /// Named ones: those that must be there, and those that may.
    Named(&'static [&'static str], &'static [&'static str]),
    /// One, or `{ date: … }`.
    Date,
    /// The name of a field, which must be constant, and an input: `$getField`.
    Field,
}

impl Function {
    pub(super) const fn list(
        name: &'static str,
        min: usize,
        max: usize,
        call: fn(&Args<'_>) -> Outcome,
    ) -> Self {
        Self { name, takes: Takes::List(min, max), call }
    }
}
