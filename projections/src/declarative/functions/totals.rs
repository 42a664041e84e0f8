//! `$sum`, `$avg`, `$min` and `$max` of what the arguments are, or of the items of a single array.

use std::borrow::Cow;
use std::cmp::Ordering;

use bson::Bson;

use super::arithmetic::{Sum, add};
use crate::declarative::error::refused;
use crate::declarative::function::Function;
use crate::declarative::number::Number;
use crate::declarative::order::compare;
use crate::declarative::value::{Args, Outcome, Value, is_nullish};

pub(super) const TABLE: [Function; 4] = [
    Function::list("$sum", 0, usize::MAX, sum),
    Function::list("$avg", 0, usize::MAX, avg),
    Function::list("$min", 0, usize::MAX, min),
    Function::list("$max", 0, usize::MAX, max),
];

/// What is totalled.
fn items<'a>(args: &'a Args<'_>) -> Vec<&'a Bson> {
    let all: Vec<Option<&Bson>> = args.iter().collect();
    match all.as_slice() {
        [Some(Bson::Array(items))] => items.iter().collect(),
        all => all.iter().copied().flatten().collect(),
    }
}

/// Everything that is no number is left out.
fn sum(args: &Args<'_>) -> Outcome {
    let numbers = items(args).into_iter().filter(|item| Number::of(item).is_some());
    let numbers: Vec<Value<'_>> = numbers.map(|number| Some(Cow::Borrowed(number))).collect();
    add(&Args::new(&numbers, u32::MAX))
}

/// The largest whole number up to which a double has all: beyond it the server's average isn't exact.
const EXACT: u64 = 1 << 53;

fn avg(args: &Args<'_>) -> Outcome {
    let (mut sum, mut count) = (Sum::default(), 0_i32);
    for number in items(args).into_iter().filter_map(Number::of) {
        match number {
            Number::Decimal(_) => return refused("a quotient of decimals would be rounded"),
            Number::Double(value) => sum.add(value),
            whole => match whole.whole().unwrap_or(0) {
                long if long.unsigned_abs() > EXACT => return refused("an average of longs beyond 53 bits"),
                long => sum.add_long(long),
            },
        }
        count = count.saturating_add(1);
    }
    let average = || Bson::Double(sum.total() / f64::from(count));
    Ok(Some(if count == 0 { Bson::Null } else { average() }))
}

fn min(args: &Args<'_>) -> Outcome {
    Ok(Some(extreme(args, Ordering::Less)))
}

fn max(args: &Args<'_>) -> Outcome {
    Ok(Some(extreme(args, Ordering::Greater)))
}

/// The first of the least or greatest; null and missing are left out.
fn extreme(args: &Args<'_>, wanted: Ordering) -> Bson {
    let mut found: Option<&Bson> = None;
    for item in items(args).into_iter().filter(|item| !is_nullish(Some(item))) {
        if found.is_none_or(|found| compare(Some(item), Some(found)) == wanted) {
            found = Some(item);
        }
    }
    found.cloned().unwrap_or(Bson::Null)
}
