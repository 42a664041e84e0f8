//! Comparisons, in the order of BSON values, and negation.

use std::cmp::Ordering;

use bson::Bson;

use crate::declarative::function::Function;
use crate::declarative::order::compare;
use crate::declarative::value::{Args, Outcome, is_true, type_name};

pub(super) const TABLE: [Function; 10] = [
    Function::list("$cmp", 2, 2, |args| Ok(Some(Bson::Int32(order(args) as i32)))),
    Function::list("$eq", 2, 2, |args| is(args, Ordering::is_eq)),
    Function::list("$ne", 2, 2, |args| is(args, Ordering::is_ne)),
    Function::list("$gt", 2, 2, |args| is(args, Ordering::is_gt)),
    Function::list("$gte", 2, 2, |args| is(args, Ordering::is_ge)),
    Function::list("$lt", 2, 2, |args| is(args, Ordering::is_lt)),
    Function::list("$lte", 2, 2, |args| is(args, Ordering::is_le)),
    Function::list("$not", 1, 1, |args| Ok(Some(Bson::Boolean(!is_true(args.get(0)))))),
    Function::list("$type", 1, 1, |args| Ok(Some(Bson::String(type_name(args.get(0)).to_owned())))),
    Function::list("$isArray", 1, 1, |args| {
        Ok(Some(Bson::Boolean(matches!(args.get(0), Some(Bson::Array(_))))))
    }),
];

fn order(args: &Args<'_>) -> Ordering {
    compare(args.get(0), args.get(1))
}

fn is(args: &Args<'_>, wanted: fn(Ordering) -> bool) -> Outcome {
    Ok(Some(Bson::Boolean(wanted(order(args)))))
}
