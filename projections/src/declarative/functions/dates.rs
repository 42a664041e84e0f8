//! Parts of dates, in UTC.

use bson::Bson;

use super::calendar::{Moment, millis};
use crate::declarative::error::{Fault, refused};
use crate::declarative::function::{Function, Takes};
use crate::declarative::value::{Args, Outcome, expected};

pub(super) const TABLE: [Function; 13] = [
    part("$year", |args| of(args, |at| at.year)),
    part("$month", |args| of(args, |at| at.month)),
    part("$dayOfMonth", |args| of(args, |at| at.day)),
    part("$hour", |args| of(args, |at| at.hour)),
    part("$minute", |args| of(args, |at| at.minute)),
    part("$second", |args| of(args, |at| at.second)),
    part("$millisecond", |args| of(args, |at| at.millis)),
    part("$dayOfYear", |args| of(args, |at| at.day_of_year())),
    part("$dayOfWeek", |args| of(args, |at| at.iso_weekday() % 7 + 1)),
    part("$week", |args| of(args, |at| at.week())),
    part("$isoWeek", |args| of(args, |at| at.iso_week().1)),
    part("$isoDayOfWeek", |args| of(args, |at| at.iso_weekday())),
    part("$isoWeekYear", |args| {
        let year = moment(args)?.map(|at| at.iso_week().0);
        Ok(Some(year.map_or(Bson::Null, Bson::Int64)))
    }),
];

const fn part(name: &'static str, call: fn(&Args<'_>) -> Outcome) -> Function {
    Function { name, takes: Takes::Date, call }
}

/// Fails unless a time zone is UTC or not given. Returns true if it is null.
pub(super) fn is_no_zone(args: &Args<'_>, at: usize) -> Result<bool, Fault> {
    match args.get(at) {
        None if !args.is_given(at) => Ok(false),
        _ if args.is_nullish(at) => Ok(true),
        Some(Bson::String(zone)) if ["UTC", "Z", "GMT"].contains(&zone.as_str()) => Ok(false),
        Some(Bson::String(_)) => refused("a time zone other than UTC"),
        other => expected("a time zone", other),
    }
}

fn moment(args: &Args<'_>) -> Result<Option<Moment>, Fault> {
    if args.is_nullish(0) || is_no_zone(args, 1)? {
        return Ok(None);
    }
    millis(args.get(0)).map(|millis| Some(Moment::of(millis)))
}

fn of(args: &Args<'_>, part: fn(&Moment) -> i64) -> Outcome {
    let Some(at) = moment(args)? else { return Ok(Some(Bson::Null)) };
    let part = part(&at);
    Ok(Some(i32::try_from(part).map_or(Bson::Int64(part), Bson::Int32)))
}
