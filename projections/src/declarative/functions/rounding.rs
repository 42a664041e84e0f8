//! Rounding of numbers.

use bson::Bson;

use crate::declarative::error::{Fault, refused, wrong};
use crate::declarative::function::Function;
use crate::declarative::number::Number;
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 4] = [
    Function::list("$ceil", 1, 1, |args| to_whole(args, f64::ceil)),
    Function::list("$floor", 1, 1, |args| to_whole(args, f64::floor)),
    Function::list("$round", 1, 2, |args| to_place(args, Mode::Nearest)),
    Function::list("$trunc", 1, 2, |args| to_place(args, Mode::TowardsZero)),
];

/// Beyond this, a double has no digits behind the point that could be rounded.
const DIGITS: i32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Half to even.
    Nearest,
    TowardsZero,
}

fn to_whole(args: &Args<'_>, double: fn(f64) -> f64) -> Outcome {
    let value = args.get(0);
    match value.and_then(Number::of) {
        _ if is_nullish(value) => Ok(Some(Bson::Null)),
        Some(Number::Double(value)) => Ok(Some(Bson::Double(double(value)))),
        Some(Number::Decimal(_)) => refused("a decimal"),
        Some(number) => number.value().map(Some),
        None => expected("a number", value),
    }
}

fn to_place(args: &Args<'_>, mode: Mode) -> Outcome {
    let value = args.get(0);
    if is_nullish(value) {
        return Ok(Some(Bson::Null));
    }
    let Some(number) = value.and_then(Number::of) else { return expected("a number", value) };
    if args.len() == 2 && args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let place = if args.len() == 2 { place(args.get(1))? } else { 0 };
    let result = match number {
        Number::Decimal(_) => return refused("a decimal"),
        Number::Double(value) => Number::Double(double(value, place, mode)?),
        Number::Int(value) => match i32::try_from(whole(value.into(), place, mode)) {
            Ok(value) => Number::Int(value),
            // Some of these the server wraps around.
            Err(_) => return refused("the rounded value is beyond 32 bits"),
        },
        Number::Long(value) => match i64::try_from(whole(value, place, mode)) {
            Ok(value) => Number::Long(value),
            Err(_) => return wrong("the rounded value is beyond 64 bits"),
        },
    };
    result.value().map(Some)
}

fn place(value: Option<&Bson>) -> Result<i32, Fault> {
    match value.and_then(Number::of).and_then(Number::as_int) {
        Some(place) if (-20..=100).contains(&place) => Ok(place),
        _ => wrong("the place must be a whole number from -20 to 100"),
    }
}

fn whole(value: i64, place: i32, mode: Mode) -> i128 {
    let value = i128::from(value);
    let Some(power) = u32::try_from(-place).ok().and_then(|digits| 10_i128.checked_pow(digits)) else {
        return value;
    };
    let towards_zero = value / power * power;
    let twice = (value - towards_zero).abs() * 2;
    let is_odd = (towards_zero / power) % 2 != 0;
    if mode == Mode::Nearest && (twice > power || (twice == power && is_odd)) {
        towards_zero + power * value.signum()
    } else {
        towards_zero
    }
}

fn double(value: f64, place: i32, mode: Mode) -> Result<f64, Fault> {
    match (place, mode) {
        (0, Mode::Nearest) => Ok(value.round_ties_even()),
        (0, Mode::TowardsZero) => Ok(value.trunc()),
        _ if !value.is_finite() => Ok(value),
        (1..=DIGITS, Mode::Nearest) if value.abs() < 1e13 => {
            let digits = usize::try_from(place).unwrap_or(0);
            Ok(format!("{value:.digits$}").parse().unwrap_or(value))
        }
        (1..=DIGITS, Mode::TowardsZero) if value.abs() < 1e13 => {
            // 34 digits, as the server has; cut behind the place.
            let digits = usize::try_from(place).unwrap_or(0);
            let text = format!("{value:.40}");
            let end = text.find('.').map_or(text.len(), |dot| dot + 1 + digits);
            Ok(text.get(..end).and_then(|text| text.parse().ok()).unwrap_or(value))
        }
        _ => refused("a double with such a place, or of such a size"),
    }
}
