//! Strings, by code points.

use bson::Bson;

use super::text::coerced;
use crate::declarative::error::{Fault, wrong};
use crate::declarative::function::{Function, Takes};
use crate::declarative::number::Number;
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 10] = [
    Function::list("$concat", 0, usize::MAX, concat),
    Function::list("$toLower", 1, 1, |args| text(coerced(args.get(0))?.to_ascii_lowercase())),
    Function::list("$toUpper", 1, 1, |args| text(coerced(args.get(0))?.to_ascii_uppercase())),
    Function::list("$split", 2, 2, split),
    Function::list("$strLenCP", 1, 1, |args| count(args.text(0)?.chars().count())),
    Function::list("$strLenBytes", 1, 1, |args| count(args.text(0)?.len())),
    Function::list("$substrCP", 3, 3, substr),
    Function::list("$indexOfCP", 2, 4, index_of),
    Function { name: "$replaceOne", takes: REPLACE, call: |args| replace(args, 1) },
    Function { name: "$replaceAll", takes: REPLACE, call: |args| replace(args, usize::MAX) },
];

const REPLACE: Takes = Takes::Named(&["input", "find", "replacement"], &[]);

fn text(text: String) -> Outcome {
    Ok(Some(Bson::String(text)))
}

fn count(count: usize) -> Outcome {
    match i32::try_from(count) {
        Ok(count) => Ok(Some(Bson::Int32(count))),
        Err(_) => wrong("it is too long"),
    }
}

fn concat(args: &Args<'_>) -> Outcome {
    let mut all = String::new();
    for value in args.iter() {
        match value {
            Some(Bson::String(part)) => all.push_str(part),
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            value => return expected("a string", value),
        }
    }
    text(all)
}

fn split(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let (input, separator) = (args.text(0)?, args.text(1)?);
    if separator.is_empty() {
        return wrong("the separator is empty");
    }
    Ok(Some(Bson::Array(input.split(separator).map(Bson::from).collect())))
}

fn substr(args: &Args<'_>) -> Outcome {
    let input = coerced(args.get(0))?;
    let number = |at: usize, what: &str| {
        let number = args.get(at).and_then(Number::of).and_then(Number::as_int);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.map_or_else(|| wrong(format!("{what} must be a whole number from 0 on")), Ok)
    };
    let (start, length) = (number(1, "the start")?, number(2, "the length")?);
    text(input.chars().skip(start).take(length).collect())
}

/// A bound of a search, if it was written.
pub(super) fn bound(args: &Args<'_>, at: usize) -> Result<Option<usize>, Fault> {
    if args.len() <= at {
        return Ok(None);
    }
    let number = args.get(at).and_then(Number::of).and_then(Number::as_int);
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => wrong("a bound must be a whole number from 0 on"),
    }
}

fn index_of(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    let (input, token) = (args.text(0)?, args.text(1)?);
    let length = input.chars().count();
    let (start, end) = (bound(args, 2)?.unwrap_or(0), bound(args, 3)?.unwrap_or(length).min(length));
    // Nothing is found behind the end, not even nothing.
    if start > end || (token.is_empty() && start == length && start > 0) {
        return Ok(Some(Bson::Int32(-1)));
    }
    let within: String = input.chars().skip(start).take(end - start).collect();
    match within.split_once(token) {
        Some((before, _)) => count(start + before.chars().count()),
        None => Ok(Some(Bson::Int32(-1))),
    }
}

fn replace(args: &Args<'_>, times: usize) -> Outcome {
    let mut is_null = false;
    for value in args.iter() {
        match value {
            Some(Bson::String(_)) => {}
            value if is_nullish(value) => is_null = true,
            value => return expected("a string", value),
        }
    }
    if is_null {
        return Ok(Some(Bson::Null));
    }
    let (input, find, by) = (args.text(0)?, args.text(1)?, args.text(2)?);
    if find.is_empty() && times > 1 {
        return crate::declarative::error::refused("an empty `find`");
    }
    text(input.replacen(find, by, times))
}
