//! Objects: merged, taken apart, put together, single fields.

use bson::{Bson, Document};

use super::arrays::pair;
use crate::declarative::error::{Fault, wrong};
use crate::declarative::function::{Function, Takes};
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 6] = [
    Function::list("$mergeObjects", 0, usize::MAX, merge),
    Function::list("$objectToArray", 1, 1, to_array),
    Function::list("$arrayToObject", 1, 1, to_object),
    Function { name: "$getField", takes: Takes::Field, call: get },
    Function { name: "$setField", takes: Takes::Named(&["field", "input", "value"], &[]), call: set },
    Function { name: "$unsetField", takes: Takes::Named(&["field", "input"], &[]), call: unset },
];

fn merge(args: &Args<'_>) -> Outcome {
    let mut merged = Document::new();
    // The items of a single array are as so many arguments.
    let values: Vec<Option<&Bson>> = match args.get(0) {
        Some(Bson::Array(items)) if args.len() == 1 => items.iter().map(Some).collect(),
        _ => args.iter().collect(),
    };
    for value in values {
        match value {
            Some(Bson::Document(members)) => merged.extend(members.clone()),
            value if is_nullish(value) => {}
            value => return expected("an object", value),
        }
    }
    Ok(Some(Bson::Document(merged)))
}

fn to_array(args: &Args<'_>) -> Outcome {
    match args.get(0) {
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        Some(Bson::Document(members)) => {
            Ok(Some(Bson::Array(members.iter().map(|(name, value)| pair(name, value)).collect())))
        }
        value => expected("an object", value),
    }
}

fn to_object(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    let items = args.array(0)?;
    let mut object = Document::new();
    let is_of_pairs = matches!(items.first(), Some(Bson::Array(_)));
    for item in items {
        let (name, value) = match item {
            Bson::Array(pair) if is_of_pairs => match pair.as_slice() {
                [name, value] => (name, value),
                _ => return wrong("a pair must have two items"),
            },
            Bson::Document(pair) if !is_of_pairs => match (pair.len(), pair.get("k"), pair.get("v")) {
                (2, Some(name), Some(value)) => (name, value),
                _ => return wrong("an object must have `k` and `v`, and nothing else"),
            },
            other => return expected("pairs, or objects with `k` and `v`, not both", Some(other)),
        };
        match name {
            Bson::String(name) if !name.contains('\0') => object.insert(name.as_str(), value.clone()),
            Bson::String(_) => return wrong("a name has a NUL character"),
            other => return expected("a string as name", Some(other)),
        };
    }
    Ok(Some(Bson::Document(object)))
}

fn get(args: &Args<'_>) -> Outcome {
    let name = args.text(0)?;
    Ok(match args.get(1) {
        Some(Bson::Document(members)) => members.get(name).cloned(),
        None => None,
        input if is_nullish(input) => Some(Bson::Null),
        _ => None,
    })
}

fn set(args: &Args<'_>) -> Outcome {
    let name = args.text(0)?;
    change(args.get(1), |members| match args.get(2) {
        Some(value) => drop(members.insert(name, value.clone())),
        None => drop(members.remove(name)),
    })
}

fn unset(args: &Args<'_>) -> Outcome {
    let name = args.text(0)?;
    change(args.get(1), |members| drop(members.remove(name)))
}

fn change(input: Option<&Bson>, change: impl FnOnce(&mut Document)) -> Result<Option<Bson>, Fault> {
    match input {
        Some(Bson::Document(members)) => {
            let mut members = members.clone();
            change(&mut members);
            Ok(Some(Bson::Document(members)))
        }
        input if is_nullish(input) => Ok(Some(Bson::Null)),
        input => expected("an object", input),
    }
}
