//! Arrays: their items, joined, turned round, searched.

use bson::{Bson, Document};

use super::strings::bound;
use crate::declarative::error::wrong;
use crate::declarative::function::{Function, Takes};
use crate::declarative::number::Number;
use crate::declarative::order::is_equal;
use crate::declarative::sorting::Sort;
use crate::declarative::value::{Args, Outcome, expected, is_nullish, is_true};

pub(super) const TABLE: [Function; 13] = [
    Function::list("$arrayElemAt", 2, 2, element),
    Function::list("$first", 1, 1, |args| end(args, <[Bson]>::first)),
    Function::list("$last", 1, 1, |args| end(args, <[Bson]>::last)),
    Function::list("$concatArrays", 0, usize::MAX, concat),
    Function::list("$size", 1, 1, |args| Ok(Some(int(args.array(0)?.len())))),
    Function::list("$in", 2, 2, contains),
    Function::list("$reverseArray", 1, 1, reverse),
    Function::list("$indexOfArray", 2, 4, index_of),
    Function::list("$anyElementTrue", 1, 1, |args| {
        Ok(Some(Bson::Boolean(args.array(0)?.iter().any(|item| is_true(Some(item))))))
    }),
    Function::list("$allElementsTrue", 1, 1, |args| {
        Ok(Some(Bson::Boolean(args.array(0)?.iter().all(|item| is_true(Some(item))))))
    }),
    Function { name: "$sortArray", takes: Takes::Named(&["input", "sortBy"], &[]), call: sort },
    Function { name: "$zip", takes: Takes::Named(&["inputs"], &["useLongestLength", "defaults"]), call: zip },
    Function::list("$isNumber", 1, 1, |args| {
        Ok(Some(Bson::Boolean(args.get(0).and_then(Number::of).is_some())))
    }),
];

pub(super) fn int(count: usize) -> Bson {
    Bson::Int32(i32::try_from(count).unwrap_or(i32::MAX))
}

fn element(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let items = args.array(0)?;
    let Some(number) = args.get(1).and_then(Number::of) else { return expected("a number", args.get(1)) };
    let Some(at) = number.as_int() else { return wrong("the index must be a whole number of 32 bits") };
    let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    let at = if at < 0 { items.len().checked_sub(back) } else { Some(back) };
    Ok(at.and_then(|at| items.get(at)).cloned())
}

fn end(args: &Args<'_>, which: fn(&[Bson]) -> Option<&Bson>) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    Ok(which(args.array(0)?).cloned())
}

fn concat(args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for value in args.iter() {
        match value {
            Some(Bson::Array(items)) => all.extend_from_slice(items),
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            value => return expected("an array", value),
        }
    }
    Ok(Some(Bson::Array(all)))
}

fn contains(args: &Args<'_>) -> Outcome {
    let items = args.array(1)?;
    let found = args.get(0).is_some_and(|value| items.iter().any(|item| is_equal(item, value)));
    Ok(Some(Bson::Boolean(found)))
}

fn reverse(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    Ok(Some(Bson::Array(args.array(0)?.iter().rev().cloned().collect())))
}

fn index_of(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    let items = args.array(0)?;
    let (start, end) = (bound(args, 2)?.unwrap_or(0), bound(args, 3)?.unwrap_or(items.len()));
    let wanted = args.get(1);
    let mut places = items.iter().enumerate().take(end).skip(start);
    let found = places.find(|(_, item)| wanted.is_some_and(|wanted| is_equal(item, wanted)));
    Ok(Some(found.map_or(Bson::Int32(-1), |(at, _)| int(at))))
}

fn sort(args: &Args<'_>) -> Outcome {
    let sort = match args.get(1).map(Sort::parse) {
        Some(Ok(sort)) => sort,
        Some(Err(problem)) => return wrong(problem),
        None => return wrong("`sortBy` is missing"),
    };
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    let mut items = args.array(0)?.to_vec();
    sort.apply(&mut items);
    Ok(Some(Bson::Array(items)))
}

fn zip(args: &Args<'_>) -> Outcome {
    let longest = match args.get(1) {
        None if !args.is_given(1) => false,
        Some(Bson::Boolean(longest)) => *longest,
        other => return expected("a bool", other),
    };
    // An empty list is as none.
    let defaults = if args.is_given(2) { args.array(2)? } else { &[] };
    let mut inputs = Vec::new();
    for input in args.array(0)? {
        match input {
            Bson::Array(items) => inputs.push(items),
            input if is_nullish(Some(input)) => return Ok(Some(Bson::Null)),
            input => return expected("an array", Some(input)),
        }
    }
    if !defaults.is_empty() && defaults.len() != inputs.len() {
        return wrong("`defaults` and `inputs` differ in length");
    }
    let lengths = inputs.iter().map(|items| items.len());
    let length = if longest { lengths.max() } else { lengths.min() };
    let value = |input: usize, items: &Vec<Bson>, at: usize| {
        items.get(at).or_else(|| defaults.get(input)).cloned().unwrap_or(Bson::Null)
    };
    let row = |at: usize| inputs.iter().enumerate().map(|(i, items)| value(i, items, at)).collect();
    Ok(Some(Bson::Array((0..length.unwrap_or(0)).map(|at| Bson::Array(row(at))).collect())))
}

/// A document with one name and value.
pub(super) fn pair(name: &str, value: &Bson) -> Bson {
    let mut pair = Document::new();
    pair.insert("k", name);
    pair.insert("v", value.clone());
    Bson::Document(pair)
}
