//! Tests of a field, in the language of queries.

use std::cmp::Ordering;

use bson::Bson;

use super::now::Now;
use crate::declarative::decimal::Decimal;
use crate::declarative::error::ApplyError;
use crate::declarative::expression::Expression;
use crate::declarative::number::Number;
use crate::declarative::order::{compare, rank};
use crate::declarative::value::is_nullish;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A test, its operand not yet evaluated, or so.
#[derive(Debug, Clone)]
pub(super) enum Test<T = Expression> {
    Compare(Op, T),
    In(T),
    Exists(bool),
    Size(i32),
    Not(Vec<Self>),
    All(Vec<Self>),
}

impl Test {
    /// The test with the value of its operand; none if that is missing.
    pub(super) fn bind(&self, now: &Now<'_>) -> Result<Option<Test<Bson>>, ApplyError> {
        let all =
            |tests: &[Self]| tests.iter().map(|test| test.bind(now)).collect::<Result<Option<Vec<_>>, _>>();
        Ok(match self {
            Self::Compare(op, value) => now.value(value)?.map(|value| Test::Compare(*op, value)),
            Self::In(values) => now.value(values)?.map(Test::In),
            Self::Exists(wanted) => Some(Test::Exists(*wanted)),
            Self::Size(size) => Some(Test::Size(*size)),
            Self::Not(tests) => all(tests)?.map(Test::Not),
            Self::All(tests) => all(tests)?.map(Test::All),
        })
    }
}

impl Test<Bson> {
    /// Whether one of the values that were found passes it; true marks an item of an array.
    pub(super) fn is_passed(&self, found: &[(Option<&Bson>, bool)]) -> bool {
        let any = |is: &dyn Fn(Option<&Bson>) -> bool| found.iter().any(|(value, _)| is(*value));
        match self {
            Self::Compare(op, operand) => any(&|value| compares(*op, value, operand)),
            Self::In(Bson::Array(operands)) => {
                any(&|value| operands.iter().any(|operand| compares(Op::Equal, value, operand)))
            }
            Self::In(operand) => any(&|value| compares(Op::Equal, value, operand)),
            Self::Exists(wanted) => any(&|value| value.is_some()) == *wanted,
            Self::Size(size) => found.iter().any(|(value, is_item)| {
                let length = value.and_then(Bson::as_array).map(Vec::len);
                !is_item && length.and_then(|length| i32::try_from(length).ok()) == Some(*size)
            }),
            Self::Not(tests) => !tests.iter().all(|test| test.is_passed(found)),
            Self::All(tests) => tests.iter().all(|test| test.is_passed(found)),
        }
    }
}

/// Only values of like types compare; missing counts as null.
fn compares(op: Op, value: Option<&Bson>, operand: &Bson) -> bool {
    let is_nan = |value: Option<&Bson>| match value.and_then(Number::of) {
        Some(Number::Double(value)) => value.is_nan(),
        Some(Number::Decimal(value)) => value == Decimal::NaN,
        _ => false,
    };
    let includes_equal = matches!(op, Op::Equal | Op::GreaterOrEqual | Op::LessOrEqual);
    if is_nullish(Some(operand)) {
        return includes_equal && is_nullish(value);
    }
    if rank(value) != rank(Some(operand)) {
        return false;
    }
    if is_nan(value) || is_nan(Some(operand)) {
        return includes_equal && is_nan(value) && is_nan(Some(operand));
    }
    match compare(value, Some(operand)) {
        Ordering::Equal => includes_equal,
        Ordering::Less => matches!(op, Op::Less | Op::LessOrEqual),
        Ordering::Greater => matches!(op, Op::Greater | Op::GreaterOrEqual),
    }
}
