//! Operators of expressions that are functions of their arguments, by family.

mod arithmetic;
mod arrays;
mod calendar;
mod comparison;
pub(super) mod convert;
mod dates;
mod format;
mod objects;
mod ranges;
mod rounding;
mod sets;
mod spans;
mod strings;
mod text;
mod totals;
mod trim;

use super::function::Function;

const TABLES: [&[Function]; 14] = [
    &arithmetic::TABLE,
    &rounding::TABLE,
    &totals::TABLE,
    &comparison::TABLE,
    &strings::TABLE,
    &trim::TABLE,
    &arrays::TABLE,
    &ranges::TABLE,
    &sets::TABLE,
    &objects::TABLE,
    &convert::TABLE,
    &dates::TABLE,
    &format::TABLE,
    &spans::TABLE,
];

/// All operators.
fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The operator of this name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// The names of all operators.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}
