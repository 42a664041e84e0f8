//! Conversions between types.

use bson::{Bson, DateTime, oid::ObjectId};

use super::text::{double, iso};
use crate::declarative::decimal::Decimal;
use crate::declarative::error::{Fault, refused, wrong};
use crate::declarative::function::Function;
use crate::declarative::number::{Number, truncated};
use crate::declarative::value::{Args, Outcome, is_nullish, is_true, type_name};

pub(super) const TABLE: [Function; 8] = [
    Function::list("$toBool", 1, 1, |args| to(args, "bool")),
    Function::list("$toDate", 1, 1, |args| to(args, "date")),
    Function::list("$toDecimal", 1, 1, |args| to(args, "decimal")),
    Function::list("$toDouble", 1, 1, |args| to(args, "double")),
    Function::list("$toInt", 1, 1, |args| to(args, "int")),
    Function::list("$toLong", 1, 1, |args| to(args, "long")),
    Function::list("$toObjectId", 1, 1, |args| to(args, "objectId")),
    Function::list("$toString", 1, 1, |args| to(args, "string")),
];

/// The types, each with its number.
const KINDS: [(&str, i32); 8] = [
    ("double", 1),
    ("string", 2),
    ("objectId", 7),
    ("bool", 8),
    ("date", 9),
    ("int", 16),
    ("long", 18),
    ("decimal", 19),
];

fn to(args: &Args<'_>, kind: &str) -> Outcome {
    match args.get(0) {
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        Some(value) => to_kind(value, kind),
        None => Ok(Some(Bson::Null)),
    }
}

fn kind_of(to: Option<&Bson>) -> Option<&'static str> {
    let found = |is: &dyn Fn(&(&str, i32)) -> bool| KINDS.iter().find(|kind| is(kind)).map(|(name, _)| *name);
    match to {
        Some(Bson::String(name)) => found(&|(own, _)| own == name),
        to => to
            .and_then(Number::of)
            .and_then(Number::as_int)
            .and_then(|wanted| found(&|(_, own)| *own == wanted)),
    }
}

/// Types that nothing can be converted to, which isn't an error of the definition.
const OTHER_KINDS: [(&str, i32); 14] = [
    ("missing", 0),
    ("object", 3),
    ("array", 4),
    ("binData", 5),
    ("undefined", 6),
    ("null", 10),
    ("regex", 11),
    ("dbPointer", 12),
    ("javascript", 13),
    ("symbol", 14),
    ("javascriptWithScope", 15),
    ("timestamp", 17),
    ("minKey", -1),
    ("maxKey", 127),
];

/// Whether it names a type at all.
pub(in crate::declarative) fn is_kind(to: Option<&Bson>) -> bool {
    let is_other = match to {
        Some(Bson::String(name)) => OTHER_KINDS.iter().any(|(own, _)| own == name),
        to => {
            let number = to.and_then(Number::of).and_then(Number::as_int);
            OTHER_KINDS.iter().any(|(_, own)| number == Some(*own))
        }
    };
    is_other || kind_of(to).is_some()
}

/// Converts a value that isn't null to the type that is named.
///
/// # Errors
/// [`Fault`] if it can't be converted.
pub(in crate::declarative) fn convert(input: Option<&Bson>, to: Option<&Bson>) -> Outcome {
    match (input, kind_of(to)) {
        _ if is_nullish(to) => Ok(Some(Bson::Null)),
        (Some(input), Some(kind)) => to_kind(input, kind),
        _ => wrong("it is no type to convert to"),
    }
}

fn to_kind(input: &Bson, kind: &str) -> Outcome {
    let value = match (kind, input) {
        ("bool", input) => Bson::Boolean(is_true(Some(input))),
        ("date", Bson::DateTime(_)) => input.clone(),
        ("date", Bson::ObjectId(id)) => Bson::DateTime(id.timestamp()),
        ("date", Bson::Timestamp(at)) => Bson::DateTime(DateTime::from_millis(i64::from(at.time) * 1000)),
        ("date", Bson::Int64(millis)) => Bson::DateTime(DateTime::from_millis(*millis)),
        ("date", Bson::Double(_) | Bson::Decimal128(_)) => {
            Bson::DateTime(DateTime::from_millis(long(input)?))
        }
        ("date", Bson::String(text)) => date(text)?,
        ("objectId", Bson::ObjectId(_)) => input.clone(),
        ("objectId", Bson::String(text)) => {
            let id = ObjectId::parse_str(text).ok();
            Bson::ObjectId(id.map_or_else(|| wrong("it isn't 24 hexadecimal digits"), Ok)?)
        }
        ("int", Bson::DateTime(_)) => return no_way(input, kind),
        ("int", _) => match i32::try_from(long(input)?) {
            Ok(value) => Bson::Int32(value),
            Err(_) => return wrong("it is beyond 32 bits"),
        },
        ("long", _) => Bson::Int64(long(input)?),
        ("double", _) => Bson::Double(to_double(input)?),
        ("decimal", _) => Number::Decimal(to_decimal(input)?).value()?,
        ("string", _) => Bson::String(to_text(input)?),
        _ => return no_way(input, kind),
    };
    Ok(Some(value))
}

fn no_way<T>(input: &Bson, kind: &str) -> Result<T, Fault> {
    wrong(format!("no {} can be converted to {kind}", type_name(Some(input))))
}

/// Whether the whole text is a sign and digits.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn long(input: &Bson) -> Result<i64, Fault> {
    let found = match input {
        Bson::Boolean(value) => Some(i64::from(*value)),
        Bson::DateTime(date) => Some(date.timestamp_millis()),
        Bson::String(text) if is_whole(text) => text.parse().ok(),
        Bson::String(_) => None,
        other => match Number::of(other) {
            Some(Number::Double(value)) => truncated(value),
            Some(Number::Decimal(value)) => value.truncated().and_then(|value| i64::try_from(value).ok()),
            Some(number) => number.whole(),
            None => return no_way(input, "a whole number"),
        },
    };
    found.map_or_else(|| wrong("it is no whole number of that size"), Ok)
}

/// Whether a text is a decimal number as people write it: digits, a point, an exponent.
fn is_plain_number(text: &str) -> bool {
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(one, two)| (one, Some(two)));
    let number = number.strip_prefix(['-', '+']).unwrap_or(number);
    let (whole, behind) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(behind)
        && !(whole.is_empty() && behind.is_empty())
        && exponent.is_none_or(is_whole)
}

fn to_double(input: &Bson) -> Result<f64, Fault> {
    match input {
        Bson::Boolean(value) => Ok(f64::from(u8::from(*value))),
        Bson::DateTime(date) => Ok(Number::Long(date.timestamp_millis()).double()),
        Bson::String(text) if is_plain_number(text) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() && (value.is_normal() || value == 0.0) => Ok(value),
            _ => refused("the text of a number beyond the range of doubles"),
        },
        Bson::String(text) if is_odd_number(text) => refused("the text of an unusual number"),
        Bson::String(_) => wrong("it is no number"),
        other => match Number::of(other) {
            Some(Number::Decimal(value)) if value.to_double().is_infinite() => {
                if matches!(value, Decimal::Infinite(_)) {
                    Ok(value.to_double())
                } else {
                    wrong("it is out of range")
                }
            }
            Some(number) => Ok(number.double()),
            None => no_way(other, "double"),
        },
    }
}

/// Whether a text may be a number in a way that parsers disagree on: blanks, hexadecimal, infinity.
fn is_odd_number(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix(['-', '+']).unwrap_or(&text);
    ["inf", "nan", "0x"].iter().any(|odd| text.starts_with(odd)) || is_plain_number(text)
}

fn to_decimal(input: &Bson) -> Result<Decimal, Fault> {
    match input {
        Bson::Boolean(value) => Ok(Decimal::whole(i64::from(*value))),
        Bson::DateTime(date) => Ok(Decimal::whole(date.timestamp_millis())),
        Bson::String(text) if is_plain_number(text) => match text.parse() {
            Ok(value) => Ok(Decimal::read(&value)),
            Err(_) => refused("the text of a decimal that would be rounded"),
        },
        Bson::String(text) if is_odd_number(text) => refused("the text of an unusual number"),
        Bson::String(_) => wrong("it is no number"),
        other => match Number::of(other) {
            Some(Number::Double(_)) => refused("a double as a decimal is rounded to 15 digits"),
            Some(number) => number.decimal(),
            None => no_way(other, "decimal"),
        },
    }
}

fn to_text(input: &Bson) -> Result<String, Fault> {
    match input {
        Bson::Boolean(value) => Ok(value.to_string()),
        Bson::Double(value) => Ok(double(*value)),
        Bson::String(text) => Ok(text.clone()),
        Bson::ObjectId(id) => Ok(id.to_hex()),
        Bson::DateTime(date) => iso(*date),
        Bson::Int32(value) => Ok(value.to_string()),
        Bson::Int64(value) => Ok(value.to_string()),
        Bson::Decimal128(value) => Ok(value.to_string()),
        other => no_way(other, "string"),
    }
}

/// A date of text, in one form only: `2024-02-29T12:30:00.123Z`, with or without the fraction.
fn date(text: &str) -> Result<Bson, Fault> {
    let fits = |form: &str| {
        let same =
            |(own, wanted): (u8, u8)| if wanted == b'0' { own.is_ascii_digit() } else { own == wanted };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(same)
    };
    if !fits("0000-00-00T00:00:00Z") && !fits("0000-00-00T00:00:00.000Z") {
        return refused("a date in another form than `2024-02-29T12:30:00.000Z`");
    }
    match DateTime::parse_rfc3339_str(text) {
        Ok(date) => Ok(Bson::DateTime(date)),
        Err(_) => refused("a date that isn't in the calendar"),
    }
}
