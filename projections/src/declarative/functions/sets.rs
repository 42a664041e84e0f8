//! Arrays as sets. The server leaves the order of unions and intersections open; here it is ascending.

use bson::Bson;

use crate::declarative::function::Function;
use crate::declarative::order::{compare, is_equal};
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 5] = [
    Function::list("$setUnion", 0, usize::MAX, union),
    Function::list("$setIntersection", 0, usize::MAX, intersection),
    Function::list("$setDifference", 2, 2, difference),
    Function::list("$setEquals", 2, usize::MAX, equals),
    Function::list("$setIsSubset", 2, 2, is_subset),
];

/// Each value once, the first of equal ones, ascending.
fn set(mut items: Vec<Bson>) -> Vec<Bson> {
    items.sort_by(|one, other| compare(Some(one), Some(other)));
    items.dedup_by(|one, before| is_equal(one, before));
    items
}

fn has(items: &[Bson], wanted: &Bson) -> bool {
    items.iter().any(|item| is_equal(item, wanted))
}

fn union(args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for value in args.iter() {
        match value {
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            Some(Bson::Array(items)) => all.extend_from_slice(items),
            value => return expected("an array", value),
        }
    }
    Ok(Some(Bson::Array(set(all))))
}

fn intersection(args: &Args<'_>) -> Outcome {
    let mut common: Option<Vec<Bson>> = None;
    for value in args.iter() {
        match value {
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            Some(Bson::Array(items)) => match &mut common {
                Some(common) => {
                    // Of equal values of two types, the server keeps those of the smaller set.
                    let mut other = set(items.clone());
                    if common.len() > other.len() {
                        std::mem::swap(common, &mut other);
                    }
                    common.retain(|item| has(&other, item));
                }
                None => common = Some(set(items.clone())),
            },
            value => return expected("an array", value),
        }
    }
    Ok(Some(Bson::Array(common.unwrap_or_default())))
}

fn difference(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let (items, without) = (args.array(0)?, args.array(1)?);
    let mut kept: Vec<Bson> = Vec::new();
    for item in items {
        if !has(without, item) && !has(&kept, item) {
            kept.push(item.clone());
        }
    }
    Ok(Some(Bson::Array(kept)))
}

fn equals(args: &Args<'_>) -> Outcome {
    let mut first: Option<Vec<Bson>> = None;
    for at in 0..args.len() {
        let other = set(args.array(at)?.to_vec());
        match &first {
            None => first = Some(other),
            Some(first) => {
                let is_same = first.len() == other.len();
                if !is_same || !first.iter().zip(&other).all(|(one, other)| is_equal(one, other)) {
                    return Ok(Some(Bson::Boolean(false)));
                }
            }
        }
    }
    Ok(Some(Bson::Boolean(true)))
}

fn is_subset(args: &Args<'_>) -> Outcome {
    let (part, all) = (args.array(0)?, args.array(1)?);
    Ok(Some(Bson::Boolean(part.iter().all(|item| has(all, item)))))
}
