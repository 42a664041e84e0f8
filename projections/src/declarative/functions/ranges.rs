//! Parts of arrays, and arrays of numbers.

use bson::Bson;

use crate::declarative::error::{Fault, wrong};
use crate::declarative::function::Function;
use crate::declarative::number::Number;
use crate::declarative::value::{Args, Outcome, expected};

pub(super) const TABLE: [Function; 2] =
    [Function::list("$slice", 2, 3, slice), Function::list("$range", 2, 3, range)];

/// More numbers than the server's memory limit of an operator allows.
const LENGTH_MAX: usize = 1_000_000;

fn whole(args: &Args<'_>, at: usize) -> Result<i32, Fault> {
    let Some(number) = args.get(at).and_then(Number::of) else { return expected("a number", args.get(at)) };
    number.as_int().map_or_else(|| wrong("it must be a whole number of 32 bits"), Ok)
}

fn slice(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let (items, first) = (args.array(0)?, whole(args, 1)?);
    if args.len() == 3 && args.is_nullish(2) {
        return Ok(Some(Bson::Null));
    }
    let size = |number: i32| usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    let from_end = items.len().saturating_sub(size(first));
    let (start, count) = if args.len() == 3 {
        let count = whole(args, 2)?;
        if count <= 0 {
            return wrong("the count must be positive");
        }
        (if first < 0 { from_end } else { size(first) }, size(count))
    } else if first < 0 {
        (from_end, usize::MAX)
    } else {
        (0, size(first))
    };
    Ok(Some(Bson::Array(items.iter().skip(start).take(count).cloned().collect())))
}

fn range(args: &Args<'_>) -> Outcome {
    let (start, end) = (i64::from(whole(args, 0)?), i64::from(whole(args, 1)?));
    let step = if args.len() == 3 { i64::from(whole(args, 2)?) } else { 1 };
    if step == 0 {
        return wrong("the step must not be 0");
    }
    let mut numbers = Vec::new();
    let mut next = start;
    while if step > 0 { next < end } else { next > end } {
        if numbers.len() == LENGTH_MAX {
            return crate::declarative::error::refused("more than a million numbers");
        }
        numbers.push(Bson::Int32(i32::try_from(next).unwrap_or(0)));
        next += step;
    }
    Ok(Some(Bson::Array(numbers)))
}
