//! Sums, differences, products, quotients.

use bson::{Bson, DateTime};

use crate::declarative::decimal::Decimal;
use crate::declarative::error::{Fault, refused, wrong};
use crate::declarative::function::Function;
use crate::declarative::number::{Number, long_to_double, truncated};
use crate::declarative::value::{Args, Outcome, expected, is_nullish};

pub(super) const TABLE: [Function; 7] = [
    Function::list("$add", 0, usize::MAX, add),
    Function::list("$subtract", 2, 2, subtract),
    Function::list("$multiply", 0, usize::MAX, multiply),
    Function::list("$divide", 2, 2, divide),
    Function::list("$mod", 2, 2, modulo),
    Function::list("$abs", 1, 1, abs),
    Function::list("$sqrt", 1, 1, sqrt),
];

const ROUNDED: &str = "the decimal would have to be rounded";
const BEYOND_DATES: &str = "the date is out of range";

/// A sum of doubles that keeps what rounding loses, as the server's does.
#[derive(Debug, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
    plain: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        self.plain += value;
        let sum = self.sum + value;
        let part = sum - self.sum;
        self.lost += (self.sum - (sum - part)) + (value - part);
        self.sum = sum;
    }

    /// A long in two parts that doubles hold.
    pub(super) fn add_long(&mut self, value: i64) {
        let high = (value >> 32) << 32;
        self.add(long_to_double(value - high));
        self.add(long_to_double(high));
    }

    pub(super) fn total(&self) -> f64 {
        let total = self.sum + self.lost;
        if total.is_nan() { self.plain } else { total }
    }
}

pub(super) fn add(args: &Args<'_>) -> Outcome {
    let (mut whole, mut doubles, mut decimal) = (0_i128, Sum::default(), Decimal::whole(0));
    let (mut date, mut has_long, mut has_double, mut has_decimal) = (None, false, false, false);
    for value in args.iter() {
        match value {
            value if is_nullish(value) => return Ok(Some(Bson::Null)),
            Some(Bson::DateTime(when)) => {
                if date.replace(*when).is_some() {
                    return wrong("only one date can be added");
                }
                whole += i128::from(when.timestamp_millis());
                doubles.add_long(when.timestamp_millis());
            }
            value => match value.and_then(Number::of) {
                Some(Number::Double(value)) => {
                    has_double = true;
                    doubles.add(value);
                }
                Some(Number::Decimal(value)) => {
                    has_decimal = true;
                    decimal = decimal.plus(value).map_or_else(|| refused(ROUNDED), Ok)?;
                }
                Some(number) => {
                    let value = number.whole().unwrap_or(0);
                    has_long |= matches!(number, Number::Long(_));
                    whole += i128::from(value);
                    doubles.add_long(value);
                }
                None => return expected("a number or a date", value),
            },
        }
    }
    let long = i64::try_from(whole);
    if date.is_some() {
        return match long {
            _ if has_decimal => refused("a date with a decimal"),
            _ if has_double => refused("a date with a double"),
            Ok(millis) => Ok(Some(Bson::DateTime(DateTime::from_millis(millis)))),
            Err(_) => wrong(BEYOND_DATES),
        };
    }
    let total = match long {
        _ if has_decimal && has_double => return refused("a decimal with a double"),
        _ if has_decimal => {
            let sum = long.ok().and_then(|long| decimal.plus(Decimal::whole(long)));
            Number::Decimal(sum.map_or_else(|| refused(ROUNDED), Ok)?)
        }
        Ok(long) if !has_double => {
            if has_long {
                Number::Long(long)
            } else {
                Number::narrow(long)
            }
        }
        _ => Number::Double(doubles.total()),
    };
    total.value().map(Some)
}

fn subtract(args: &Args<'_>) -> Outcome {
    let (one, two) = (args.get(0), args.get(1));
    if is_nullish(one) || is_nullish(two) {
        return Ok(Some(Bson::Null));
    }
    let difference = match (one, two) {
        (Some(Bson::DateTime(one)), Some(Bson::DateTime(two))) => {
            let difference = one.timestamp_millis().checked_sub(two.timestamp_millis());
            Number::Long(difference.map_or_else(|| wrong(BEYOND_DATES), Ok)?)
        }
        (Some(Bson::DateTime(one)), two) => {
            let by = match two.and_then(Number::of) {
                Some(Number::Double(_) | Number::Decimal(_)) => {
                    return refused("a date minus a double or decimal");
                }
                Some(number) => number.whole().unwrap_or(0),
                None => return expected("a number or a date", two),
            };
            if by == i64::MIN {
                return wrong("the smallest long can't be negated");
            }
            let millis = one.timestamp_millis().checked_sub(by);
            let date = millis.map_or_else(|| wrong(BEYOND_DATES), Ok)?;
            return Ok(Some(Bson::DateTime(DateTime::from_millis(date))));
        }
        _ => {
            let (first, second) = numbers(args)?;
            match (first, second) {
                (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
                    let result = first.decimal()?.plus(second.decimal()?.negated());
                    Number::Decimal(result.map_or_else(|| refused(ROUNDED), Ok)?)
                }
                (Number::Double(_), _) | (_, Number::Double(_)) => {
                    Number::Double(first.double() - second.double())
                }
                (Number::Int(one), Number::Int(two)) => Number::narrow(i64::from(one) - i64::from(two)),
                _ => match first.whole().unwrap_or(0).checked_sub(second.whole().unwrap_or(0)) {
                    Some(difference) => Number::Long(difference),
                    None => Number::Double(first.double() - second.double()),
                },
            }
        }
    };
    difference.value().map(Some)
}

fn multiply(args: &Args<'_>) -> Outcome {
    let (mut double, mut long, mut decimal) = (1.0, Some(1_i64), Some(Decimal::whole(1)));
    let (mut is_double, mut has_long, mut has_decimal) = (false, false, false);
    for value in args.iter() {
        let Some(number) = value.and_then(Number::of) else {
            return if is_nullish(value) { Ok(Some(Bson::Null)) } else { expected("a number", value) };
        };
        has_long |= matches!(number, Number::Long(_));
        has_decimal |= matches!(number, Number::Decimal(_));
        is_double |= matches!(number, Number::Double(_));
        double *= number.double();
        long = long.zip(number.whole()).and_then(|(long, by)| long.checked_mul(by));
        decimal = decimal.zip(number.decimal().ok()).and_then(|(product, by)| product.times(by));
    }
    let product = match (long, decimal) {
        _ if has_decimal && is_double => return refused("a decimal with a double"),
        (_, Some(decimal)) if has_decimal => Number::Decimal(decimal),
        _ if has_decimal => return refused(ROUNDED),
        (Some(long), _) if !is_double => {
            if has_long {
                Number::Long(long)
            } else {
                Number::narrow(long)
            }
        }
        _ => Number::Double(double),
    };
    product.value().map(Some)
}

fn divide(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let (one, two) = numbers(args)?;
    match (one, two) {
        _ if is_zero(two) => wrong("can't divide by zero"),
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            refused("a quotient of decimals would be rounded")
        }
        _ => Ok(Some(Bson::Double(one.double() / two.double()))),
    }
}

fn modulo(args: &Args<'_>) -> Outcome {
    if args.is_nullish(0) || args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let (one, two) = numbers(args)?;
    let remainder = match (one, two) {
        _ if is_zero(two) => return wrong("can't divide by zero"),
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => return refused("a remainder of decimals"),
        (Number::Double(_), _) => Number::Double(one.double() % two.double()),
        (_, Number::Double(by)) if two.as_int().is_none() => Number::Double(one.double() % by),
        _ => {
            let by = two.whole().or_else(|| two.as_int().map(i64::from)).unwrap_or(1);
            let remainder = one.whole().unwrap_or(0).checked_rem(by).unwrap_or(0);
            let is_long = matches!(one, Number::Long(_)) || matches!(two, Number::Long(_));
            if is_long { Number::Long(remainder) } else { Number::narrow(remainder) }
        }
    };
    remainder.value().map(Some)
}

fn abs(args: &Args<'_>) -> Outcome {
    let value = args.get(0);
    if is_nullish(value) {
        return Ok(Some(Bson::Null));
    }
    let result = match value.and_then(Number::of) {
        Some(Number::Int(value)) => Number::narrow(i64::from(value).abs()),
        Some(Number::Long(value)) => match value.checked_abs() {
            Some(value) => Number::Long(value),
            None => return wrong("the absolute value is beyond 64 bits"),
        },
        Some(Number::Double(value)) => Number::Double(value.abs()),
        Some(Number::Decimal(value)) => Number::Decimal(value.abs()),
        None => return expected("a number", value),
    };
    result.value().map(Some)
}

fn sqrt(args: &Args<'_>) -> Outcome {
    let value = args.get(0);
    if is_nullish(value) {
        return Ok(Some(Bson::Null));
    }
    match value.and_then(Number::of) {
        Some(Number::Decimal(_)) => refused("a root of a decimal would be rounded"),
        Some(number) if number.double() < 0.0 => wrong("the argument is negative"),
        Some(number) => Ok(Some(Bson::Double(number.double().sqrt()))),
        None => expected("a number", value),
    }
}

fn numbers(args: &Args<'_>) -> Result<(Number, Number), Fault> {
    let number =
        |at| args.get(at).and_then(Number::of).map_or_else(|| expected("a number", args.get(at)), Ok);
    Ok((number(0)?, number(1)?))
}

fn is_zero(number: Number) -> bool {
    match number {
        Number::Decimal(value) => value.is_zero(),
        other => truncated(other.double()) == Some(0) && other.double() == 0.0,
    }
}
