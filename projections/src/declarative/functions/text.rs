//! Values as text, as the server writes them.

use bson::{Bson, DateTime};

use super::calendar::Moment;
use crate::declarative::error::{Fault, refused, wrong};
use crate::declarative::value::expected;

/// The text of a value where an operator takes any scalar for a string; empty for null.
pub(super) fn coerced(value: Option<&Bson>) -> Result<String, Fault> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(String::new()),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => Ok(text.clone()),
        Some(Bson::Int32(value)) => Ok(value.to_string()),
        Some(Bson::Int64(value)) => Ok(value.to_string()),
        Some(Bson::Double(value)) if value.is_finite() => Ok(double(*value)),
        Some(Bson::Double(_)) => refused("the text of NaN and infinity"),
        Some(Bson::DateTime(date)) => iso(*date),
        Some(Bson::Decimal128(value)) => Ok(value.to_string()),
        Some(Bson::Timestamp(_)) => refused("the text of a timestamp"),
        other => expected("a string, a number or a date", other),
    }
}

/// A date in ISO form.
pub(super) fn iso(date: DateTime) -> Result<String, Fault> {
    let at = Moment::of(date.timestamp_millis());
    if !(0..=9999).contains(&at.year) {
        return wrong("the year is not within 0 to 9999");
    }
    let day = format!("{:04}-{:02}-{:02}", at.year, at.month, at.day);
    Ok(format!("{day}T{:02}:{:02}:{:02}.{:03}Z", at.hour, at.minute, at.second, at.millis))
}

/// A double with up to 6 digits, without zeros at the end: C's `%g`.
pub(super) fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:.5e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let behind = usize::try_from(5 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.behind$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}
