//! Update documents: operators on paths, applied in place.

mod change;
mod condition;
mod filters;
mod now;
mod operand;
mod operators;
mod push;
mod rename;
mod test;
mod tree;
mod walk;

#[cfg(test)]
pub(super) use operators::NAMES;
pub(super) use operators::Update;
