//! Dates as text.

use std::fmt::Write;

use bson::Bson;

use super::calendar::{Moment, millis};
use super::dates::is_no_zone;
use crate::declarative::error::{Fault, wrong};
use crate::declarative::function::{Function, Takes};
use crate::declarative::value::{Args, Outcome};

pub(super) const TABLE: [Function; 1] = [Function {
    name: "$dateToString",
    takes: Takes::Named(&["date"], &["format", "timezone", "onNull"]),
    call: to_string,
}];

fn to_string(args: &Args<'_>) -> Outcome {
    // Both are read before anything is null, as the server does.
    let format = match args.is_given(1) {
        true if args.is_nullish(1) => None,
        true => Some(args.text(1)?),
        false => Some("%Y-%m-%dT%H:%M:%S.%LZ"),
    };
    format.map_or(Ok(()), check)?;
    if is_no_zone(args, 2)? {
        return Ok(Some(Bson::Null));
    }
    if args.is_nullish(0) {
        return Ok(if args.is_given(3) { args.get(3).cloned() } else { Some(Bson::Null) });
    }
    // A format that is null comes after a date that is.
    let Some(format) = format else { return Ok(Some(Bson::Null)) };
    let at = Moment::of(millis(args.get(0))?);
    if !(0..=9999).contains(&at.year) {
        return wrong("the year is not within 0 to 9999");
    }
    Ok(Some(Bson::String(formatted(format, &at))))
}

fn check(format: &str) -> Result<(), Fault> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' && !letters.next().is_some_and(|kind| "dGHjLmMSuUVwYzZ%".contains(kind)) {
            return wrong("the format has an unknown letter behind a `%`");
        }
    }
    Ok(())
}

fn formatted(format: &str, at: &Moment) -> String {
    let (mut text, mut letters) = (String::new(), format.chars());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let (number, width) = match letters.next() {
            Some('Y') => (at.year, 4),
            Some('m') => (at.month, 2),
            Some('d') => (at.day, 2),
            Some('H') => (at.hour, 2),
            Some('M') => (at.minute, 2),
            Some('S') => (at.second, 2),
            Some('L') => (at.millis, 3),
            Some('j') => (at.day_of_year(), 3),
            Some('w') => (at.iso_weekday() % 7 + 1, 1),
            Some('u') => (at.iso_weekday(), 1),
            Some('U') => (at.week(), 2),
            Some('V') => (at.iso_week().1, 2),
            Some('G') => (at.iso_week().0, 4),
            Some('z') => {
                text.push_str("+0000");
                continue;
            }
            Some('Z') => (0, 1),
            _ => {
                text.push('%');
                continue;
            }
        };
        // Writing to a string can't fail.
        let _ = write!(text, "{number:0width$}");
    }
    text
}
