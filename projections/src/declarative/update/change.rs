//! Changes of one field: what an operator does to a value that is there, and to one that isn't.

use std::cmp::Ordering;

use bson::Bson;

use super::condition::Condition;
use super::now::{Now, items};
use super::push::Push;
use crate::declarative::error::{ApplyError, Fault, wrong};
use crate::declarative::expression::Expression;
use crate::declarative::number::Number;
use crate::declarative::order::{compare, is_equal};
use crate::declarative::value::expected;

/// An operator with its operand.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(Expression),
    Unset,
    Inc(Expression),
    Mul(Expression),
    /// `$min`, if the smaller value stays; else `$max`.
    Limit(Ordering, Expression),
    Push(Push),
    /// The values, one or each of an array.
    AddToSet(Expression, bool),
    /// True for the first item, false for the last.
    Pop(bool),
    Pull(Condition),
    PullAll(Expression),
    /// The number of the renamed field.
    Rename(usize),
}

/// What becomes of a value that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Stays,
    IsRemoved,
}

impl Change {
    /// The name of the operator.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Set(_) => "$set",
            Self::Unset => "$unset",
            Self::Inc(_) => "$inc",
            Self::Mul(_) => "$mul",
            Self::Limit(Ordering::Less, _) => "$min",
            Self::Limit(..) => "$max",
            Self::Push(_) => "$push",
            Self::AddToSet(..) => "$addToSet",
            Self::Pop(_) => "$pop",
            Self::Pull(_) => "$pull",
            Self::PullAll(_) => "$pullAll",
            Self::Rename(_) => "$rename",
        }
    }

    /// Whether there is nothing to do, because the operand is missing.
    pub(super) fn is_idle(&self, now: &Now<'_>) -> Result<bool, ApplyError> {
        Ok(match self {
            Self::Set(operand) | Self::Inc(operand) | Self::Mul(operand) | Self::Limit(_, operand) => {
                now.is_missing(operand)?
            }
            Self::AddToSet(operand, _) | Self::PullAll(operand) => now.is_missing(operand)?,
            Self::Push(push) => now.is_missing(&push.operand)?,
            Self::Pull(condition) => condition.bind(now)?.is_none(),
            Self::Rename(number) => now.renamed.get(*number).is_none_or(Option::is_none),
            Self::Unset | Self::Pop(_) => false,
        })
    }

    /// Changes a value that is there.
    pub(super) fn change(&self, value: &mut Bson, now: &mut Now<'_>) -> Result<Effect, ApplyError> {
        let failed = |fault: Fault| fault.of(self.name());
        match self {
            Self::Set(operand) => replace(value, now.value(operand)?),
            Self::Unset => return Ok(Effect::IsRemoved),
            Self::Inc(operand) => calculate(value, now.value(operand)?, Number::plus).map_err(failed)?,
            Self::Mul(operand) => calculate(value, now.value(operand)?, Number::times).map_err(failed)?,
            Self::Limit(wanted, operand) => {
                let operand = now.value(operand)?;
                if operand.is_some() && compare(operand.as_ref(), Some(value)) == *wanted {
                    replace(value, operand);
                }
            }
            Self::Push(push) => {
                if let Some(items) = push.items(now)? {
                    push.add(array(value).map_err(failed)?, items);
                }
            }
            Self::AddToSet(operand, is_each) => {
                if let Some(items) = items(now.value(operand)?, *is_each).map_err(failed)? {
                    add_to_set(array(value).map_err(failed)?, items);
                }
            }
            Self::Pop(first) => {
                let items = array(value).map_err(failed)?;
                match first {
                    true if !items.is_empty() => drop(items.remove(0)),
                    _ => drop(items.pop()),
                }
            }
            Self::Pull(condition) => {
                if let Some(condition) = condition.bind(now)? {
                    array(value).map_err(failed)?.retain(|item| !condition.matches(item));
                }
            }
            Self::PullAll(operand) => {
                if let Some(unwanted) = items(now.value(operand)?, true).map_err(failed)? {
                    let items = array(value).map_err(failed)?;
                    items.retain(|item| !unwanted.iter().any(|other| is_equal(item, other)));
                }
            }
            Self::Rename(number) => replace(value, now.renamed.get_mut(*number).and_then(Option::take)),
        }
        Ok(Effect::Stays)
    }

    /// The value where none was; none if the operator leaves it so.
    pub(super) fn create(&self, now: &mut Now<'_>) -> Result<Option<Bson>, ApplyError> {
        let failed = |fault: Fault| fault.of(self.name());
        Ok(match self {
            Self::Set(operand) | Self::Limit(_, operand) => now.value(operand)?,
            Self::Inc(operand) => number(now.value(operand)?).map_err(failed)?,
            Self::Mul(operand) => match number(now.value(operand)?).map_err(failed)? {
                Some(factor) => Some(times(&Bson::Int32(0), &factor).map_err(failed)?),
                None => None,
            },
            Self::Push(push) => match push.items(now)? {
                Some(items) => {
                    let mut array = Vec::new();
                    push.add(&mut array, items);
                    Some(Bson::Array(array))
                }
                None => None,
            },
            Self::AddToSet(operand, is_each) => match items(now.value(operand)?, *is_each).map_err(failed)? {
                Some(items) => {
                    let mut array = Vec::new();
                    add_to_set(&mut array, items);
                    Some(Bson::Array(array))
                }
                None => None,
            },
            Self::Rename(number) => now.renamed.get_mut(*number).and_then(Option::take),
            Self::Unset | Self::Pop(_) | Self::Pull(_) | Self::PullAll(_) => None,
        })
    }
}

fn replace(value: &mut Bson, by: Option<Bson>) {
    if let Some(by) = by {
        *value = by;
    }
}

fn array(value: &mut Bson) -> Result<&mut Vec<Bson>, Fault> {
    match value {
        Bson::Array(items) => Ok(items),
        other => expected("an array", Some(other)),
    }
}

fn number(value: Option<Bson>) -> Result<Option<Bson>, Fault> {
    match value {
        Some(value) if Number::of(&value).is_none() => expected("a number", Some(&value)),
        value => Ok(value),
    }
}

fn times(one: &Bson, other: &Bson) -> Result<Bson, Fault> {
    match (Number::of(one), Number::of(other)) {
        (Some(one), Some(other)) => one.times(other)?.value(),
        _ => wrong("it is no number"),
    }
}

/// A result that equals the value leaves it as it is: -0 doesn't become 0.
fn calculate(
    value: &mut Bson,
    by: Option<Bson>,
    operation: fn(Number, Number) -> Result<Number, Fault>,
) -> Result<(), Fault> {
    let Some(by) = number(by)? else { return Ok(()) };
    let (Some(old), Some(by)) = (Number::of(value), Number::of(&by)) else {
        return expected("a number", Some(value));
    };
    let result = operation(old, by)?;
    let is_same = match (old, result) {
        (Number::Double(old), Number::Double(new)) => old == new,
        (Number::Decimal(old), Number::Decimal(new)) => old.compare(new).is_eq(),
        _ => false,
    };
    if !is_same {
        *value = result.value()?;
    }
    Ok(())
}

fn add_to_set(set: &mut Vec<Bson>, items: Vec<Bson>) {
    for item in items {
        if !set.iter().any(|own| is_equal(own, &item)) {
            set.push(item);
        }
    }
}
