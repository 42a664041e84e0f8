//! Spans of time: added, subtracted, counted, cut off.

use bson::Bson;

use super::calendar::{DAY_MS, Moment, date, days_in, days_of, millis};
use super::dates::is_no_zone;
use crate::declarative::error::{Fault, refused, wrong};
use crate::declarative::function::{Function, Takes};
use crate::declarative::number::{Number, truncated};
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 4] = [
    Function { name: "$dateAdd", takes: SPAN, call: |args| add(args, 1) },
    Function { name: "$dateSubtract", takes: SPAN, call: |args| add(args, -1) },
    Function {
        name: "$dateDiff",
        takes: Takes::Named(&["startDate", "endDate", "unit"], &["timezone", "startOfWeek"]),
        call: difference,
    },
    Function {
        name: "$dateTrunc",
        takes: Takes::Named(&["date", "unit"], &["binSize", "timezone", "startOfWeek"]),
        call: truncate,
    },
];

const SPAN: Takes = Takes::Named(&["startDate", "unit", "amount"], &["timezone"]);

/// A unit: a fixed number of milliseconds, or of months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Millis(i64),
    Week,
    Months(i64),
}

fn unit(value: Option<&Bson>) -> Result<Unit, Fault> {
    let Some(Bson::String(name)) = value else { return expected("a unit of time", value) };
    Ok(match name.as_str() {
        "millisecond" => Unit::Millis(1),
        "second" => Unit::Millis(1000),
        "minute" => Unit::Millis(60_000),
        "hour" => Unit::Millis(3_600_000),
        "day" => Unit::Millis(DAY_MS),
        "week" => Unit::Week,
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        _ => return wrong(format!("`{name}` is no unit of time")),
    })
}

/// Dates of which all operators here give the server's results.
fn check_range(millis: i64) -> Result<i64, Fault> {
    let years = 0..=9999;
    if years.contains(&Moment::of(millis).year) { Ok(millis) } else { refused("a year beyond 0 to 9999") }
}

/// A whole number of 64 bits, whatever its type.
fn whole(value: Option<&Bson>) -> Result<i64, Fault> {
    let number = value.and_then(Number::of);
    let whole = match number {
        Some(Number::Double(value)) => truncated(value).filter(|_| value.trunc() == value),
        Some(number @ Number::Decimal(_)) => match number.as_int() {
            Some(whole) => Some(whole.into()),
            None => return refused("a decimal that isn't a whole number of 32 bits"),
        },
        number => number.and_then(Number::whole),
    };
    whole.map_or_else(|| wrong("it must be a whole number"), Ok)
}

fn add(args: &Args<'_>, sign: i64) -> Outcome {
    if (0..3).any(|at| args.is_nullish(at)) || is_no_zone(args, 3)? {
        return Ok(Some(Bson::Null));
    }
    let unit = unit(args.get(1))?;
    let amount = whole(args.get(2))?;
    let start = check_range(millis(args.get(0))?)?;
    if start < 0 && start % 1000 != 0 {
        return refused("a date before 1970 with milliseconds, of which the server loses a second");
    }
    let beyond = || Fault::Wrong("the date is out of range".to_owned());
    let amount = amount.checked_mul(sign).ok_or_else(beyond)?;
    let by = |size: i64| amount.checked_mul(size).and_then(|by| start.checked_add(by)).ok_or_else(beyond);
    let end = match unit {
        Unit::Millis(size) => by(size)?,
        Unit::Week => by(7 * DAY_MS)?,
        Unit::Months(size) => months_later(start, amount.checked_mul(size).ok_or_else(beyond)?)?,
    };
    check_range(end).map(|end| Some(date(end)))
}

fn months_later(start: i64, months: i64) -> Result<i64, Fault> {
    let at = Moment::of(start);
    if months.unsigned_abs() > 12 * 20_000 {
        return refused("more than 20,000 years");
    }
    let month = at.year * 12 + at.month - 1 + months;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let day = at.day.min(days_in(year, month));
    Ok(days_of(year, month, day) * DAY_MS + start.rem_euclid(DAY_MS))
}

/// The first day of weeks, 1 for Monday; Sunday unless it is written.
fn start_of_week(args: &Args<'_>, at: usize) -> Result<i64, Fault> {
    let name = match args.get(at) {
        _ if !args.is_given(at) => return Ok(7),
        Some(Bson::String(name)) => name.to_lowercase(),
        other => return expected("a day of the week", other),
    };
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = (1..).zip(days).find(|(_, day)| name == *day || day.get(..3) == Some(name.as_str()));
    found.map_or_else(|| wrong("it is no day of the week"), |(number, _)| Ok(number))
}

/// Number of the week that a day is in.
fn week(days: i64, first: i64) -> i64 {
    // Day -3 was a Monday.
    (days + 3 - (first - 1)).div_euclid(7)
}

fn difference(args: &Args<'_>) -> Outcome {
    let is_week_null = args.is_given(4) && args.is_nullish(4);
    if (0..3).any(|at| args.is_nullish(at)) || is_no_zone(args, 3)? {
        return Ok(Some(Bson::Null));
    }
    let unit = unit(args.get(2))?;
    // That is looked at before the dates are.
    if unit == Unit::Week && is_week_null {
        return Ok(Some(Bson::Null));
    }
    let (start, end) = (millis(args.get(0))?, millis(args.get(1))?);
    let (start, end) = (check_range(start)?, check_range(end)?);
    let months = |millis: i64| Moment::of(millis).year * 12 + Moment::of(millis).month - 1;
    let count = match unit {
        Unit::Millis(size) => end.div_euclid(size) - start.div_euclid(size),
        Unit::Week => {
            let first = start_of_week(args, 4)?;
            week(end.div_euclid(DAY_MS), first) - week(start.div_euclid(DAY_MS), first)
        }
        Unit::Months(size) => months(end).div_euclid(size) - months(start).div_euclid(size),
    };
    Ok(Some(Bson::Int64(count)))
}

fn truncate(args: &Args<'_>) -> Outcome {
    let is_bin_null = args.is_given(2) && args.is_nullish(2);
    if is_nullish(args.get(0)) || args.is_nullish(1) || is_bin_null || is_no_zone(args, 3)? {
        return Ok(Some(Bson::Null));
    }
    let unit = unit(args.get(1))?;
    if unit == Unit::Week && args.is_given(4) && args.is_nullish(4) {
        return Ok(Some(Bson::Null));
    }
    let bin = if args.is_given(2) { whole(args.get(2))? } else { 1 };
    if bin <= 0 {
        return wrong("`binSize` must be positive");
    }
    let start = check_range(millis(args.get(0))?)?;
    // Bins are counted from the first day of 2000.
    let reference = days_of(2000, 1, 1) * DAY_MS;
    if bin > 100_000 {
        return refused("a `binSize` of more than 100,000");
    }
    let within = |size: i64, reference: i64| (start - reference).div_euclid(size) * size + reference;
    let cut = match unit {
        Unit::Millis(size) => within(size * bin, reference),
        Unit::Week => {
            // The first such day of 2000: the 1st was a Saturday.
            let first = start_of_week(args, 4)?;
            within(7 * DAY_MS * bin, reference + (first + 1).rem_euclid(7) * DAY_MS)
        }
        Unit::Months(size) => {
            let at = Moment::of(start);
            let months = at.year * 12 + at.month - 1 - 24_000;
            let first = months.div_euclid(size * bin) * size * bin + 24_000;
            days_of(first.div_euclid(12), first.rem_euclid(12) + 1, 1) * DAY_MS
        }
    };
    Ok(Some(date(cut)))
}
