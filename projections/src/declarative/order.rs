//! The order of BSON values, by type first.

use std::cmp::Ordering;

use bson::{Bson, Document};

use super::number::Number;

/// The order of two values; missing is below everything but `MinKey`.
pub(super) fn compare(one: Option<&Bson>, other: Option<&Bson>) -> Ordering {
    rank(one).cmp(&rank(other)).then_with(|| match (one, other) {
        (Some(one), Some(other)) => within(one, other),
        _ => Ordering::Equal,
    })
}

/// Whether two values are equal in that order.
pub(super) fn is_equal(one: &Bson, other: &Bson) -> bool {
    compare(Some(one), Some(other)).is_eq()
}

/// The place of a type.
pub(super) fn rank(value: Option<&Bson>) -> i8 {
    let Some(value) = value else { return 0 };
    match value {
        Bson::MinKey => -1,
        Bson::Undefined => 0,
        Bson::Null => 5,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => 10,
        Bson::String(_) | Bson::Symbol(_) => 15,
        Bson::Document(_) => 20,
        Bson::Array(_) => 25,
        Bson::Binary(_) => 30,
        Bson::ObjectId(_) => 35,
        Bson::Boolean(_) => 40,
        Bson::DateTime(_) => 45,
        Bson::Timestamp(_) => 47,
        Bson::RegularExpression(_) => 50,
        Bson::DbPointer(_) => 55,
        Bson::JavaScriptCode(_) => 60,
        Bson::JavaScriptCodeWithScope(_) => 65,
        Bson::MaxKey => 127,
    }
}

fn within(one: &Bson, other: &Bson) -> Ordering {
    match (one, other) {
        (Bson::String(one) | Bson::Symbol(one), Bson::String(other) | Bson::Symbol(other)) => {
            one.as_bytes().cmp(other.as_bytes())
        }
        (Bson::Document(one), Bson::Document(other)) => documents(one, other),
        (Bson::Array(one), Bson::Array(other)) => {
            let mut pairs = one.iter().zip(other).map(|(one, other)| compare(Some(one), Some(other)));
            pairs.find(|order| order.is_ne()).unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        (Bson::Binary(one), Bson::Binary(other)) => {
            let lengths = one.bytes.len().cmp(&other.bytes.len());
            let kinds = || u8::from(one.subtype).cmp(&u8::from(other.subtype));
            lengths.then_with(kinds).then_with(|| one.bytes.cmp(&other.bytes))
        }
        (Bson::ObjectId(one), Bson::ObjectId(other)) => one.bytes().cmp(&other.bytes()),
        (Bson::Boolean(one), Bson::Boolean(other)) => one.cmp(other),
        (Bson::DateTime(one), Bson::DateTime(other)) => one.timestamp_millis().cmp(&other.timestamp_millis()),
        (Bson::Timestamp(one), Bson::Timestamp(other)) => {
            (one.time, one.increment).cmp(&(other.time, other.increment))
        }
        (Bson::RegularExpression(one), Bson::RegularExpression(other)) => {
            let (first, second) = (one.pattern.as_str(), other.pattern.as_str());
            first.cmp(second).then_with(|| one.options.as_str().cmp(other.options.as_str()))
        }
        (Bson::JavaScriptCode(one), Bson::JavaScriptCode(other)) => one.cmp(other),
        (Bson::JavaScriptCodeWithScope(one), Bson::JavaScriptCodeWithScope(other)) => {
            one.code.cmp(&other.code).then_with(|| documents(&one.scope, &other.scope))
        }
        _ => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one.compare(other),
            _ => Ordering::Equal,
        },
    }
}

fn documents(one: &Document, other: &Document) -> Ordering {
    let pairs = one.iter().zip(other);
    let mut orders = pairs.map(|((name, value), (other_name, other_value))| {
        let types = rank(Some(value)).cmp(&rank(Some(other_value)));
        types.then_with(|| name.cmp(other_name)).then_with(|| compare(Some(value), Some(other_value)))
    });
    orders.find(|order| order.is_ne()).unwrap_or_else(|| one.len().cmp(&other.len()))
}
