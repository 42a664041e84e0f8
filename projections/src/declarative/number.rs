//! Numbers of the four types, and how they grow into each other.

use std::cmp::Ordering;

use bson::Bson;

use super::decimal::Decimal;
use super::error::{Fault, refused, wrong};

/// A number of a BSON type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// Binary floating point.
    Double(f64),
    /// Decimal floating point.
    Decimal(Decimal),
}

const NOT_EXACT: &str = "the decimal would have to be rounded";
const MIXED: &str = "a decimal with a double";

impl Number {
    /// The number in a value.
    pub(super) fn of(value: &Bson) -> Option<Self> {
        match value {
            Bson::Int32(value) => Some(Self::Int(*value)),
            Bson::Int64(value) => Some(Self::Long(*value)),
            Bson::Double(value) => Some(Self::Double(*value)),
            Bson::Decimal128(value) => Some(Self::Decimal(Decimal::read(value))),
            _ => None,
        }
    }

    /// The value of a number.
    ///
    /// # Errors
    /// [`Fault::Refused`] if a decimal would be rounded.
    pub(super) fn value(self) -> Result<Bson, Fault> {
        match self {
            Self::Int(value) => Ok(Bson::Int32(value)),
            Self::Long(value) => Ok(Bson::Int64(value)),
            Self::Double(value) => Ok(Bson::Double(value)),
            Self::Decimal(value) => {
                value.write().map_or_else(|| refused(NOT_EXACT), |it| Ok(Bson::Decimal128(it)))
            }
        }
    }

    /// A whole number, as narrow as it can be.
    pub(super) fn narrow(value: i64) -> Self {
        i32::try_from(value).map_or(Self::Long(value), Self::Int)
    }

    /// The whole number of an int or a long.
    pub(super) fn whole(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value.into()),
            Self::Long(value) => Some(value),
            _ => None,
        }
    }

    /// The nearest double.
    pub(super) fn double(self) -> f64 {
        match self {
            Self::Int(value) => value.into(),
            Self::Long(value) => long_to_double(value),
            Self::Double(value) => value,
            Self::Decimal(value) => value.to_double(),
        }
    }

    /// The number if it is whole and fits 32 bits, whatever its type.
    pub(super) fn as_int(self) -> Option<i32> {
        match self {
            Self::Int(value) => Some(value),
            Self::Long(value) => i32::try_from(value).ok(),
            Self::Double(value) => {
                let whole = truncated(value)?;
                let is_whole = value.trunc() == value;
                i32::try_from(whole).ok().filter(|_| is_whole)
            }
            Self::Decimal(value) => {
                let whole = i64::try_from(value.truncated()?).ok()?;
                i32::try_from(whole).ok().filter(|_| value.compare(Decimal::whole(whole)).is_eq())
            }
        }
    }

    /// This number as a decimal.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a double, which the server rounds to 15 digits.
    pub(super) fn decimal(self) -> Result<Decimal, Fault> {
        match self {
            Self::Int(value) => Ok(Decimal::whole(value.into())),
            Self::Long(value) => Ok(Decimal::whole(value)),
            Self::Decimal(value) => Ok(value),
            Self::Double(_) => refused(MIXED),
        }
    }

    /// The order of numbers: NaN is below all others and equal to itself, -0 is 0.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Double(one), Self::Double(two)) => doubles(one, two),
            (Self::Decimal(one), Self::Decimal(two)) => one.compare(two),
            (Self::Decimal(one), Self::Double(two)) => decimal_with_double(one, two),
            (Self::Double(one), Self::Decimal(two)) => decimal_with_double(two, one).reverse(),
            (Self::Double(one), two) => long_with_double(two.whole().unwrap_or(0), one).reverse(),
            (one, Self::Double(two)) => long_with_double(one.whole().unwrap_or(0), two),
            (Self::Decimal(one), two) => one.compare(Decimal::whole(two.whole().unwrap_or(0))),
            (one, Self::Decimal(two)) => Decimal::whole(one.whole().unwrap_or(0)).compare(two),
            (one, two) => one.whole().cmp(&two.whole()),
        }
    }

    /// The sum of `$inc`: an int grows into a long, a long doesn't grow.
    pub(super) fn plus(self, other: Self) -> Result<Self, Fault> {
        self.by(other, i64::checked_add, |one, two| one + two, Decimal::plus)
    }

    /// The product of `$mul`: an int grows into a long, a long doesn't grow.
    pub(super) fn times(self, other: Self) -> Result<Self, Fault> {
        self.by(other, i64::checked_mul, |one, two| one * two, Decimal::times)
    }

    fn by(
        self,
        other: Self,
        whole: impl Fn(i64, i64) -> Option<i64>,
        double: impl Fn(f64, f64) -> f64,
        decimal: impl Fn(Decimal, Decimal) -> Option<Decimal>,
    ) -> Result<Self, Fault> {
        match (self, other) {
            (Self::Decimal(_), _) | (_, Self::Decimal(_)) => {
                let result = decimal(self.decimal()?, other.decimal()?);
                result.map_or_else(|| refused(NOT_EXACT), |value| Ok(Self::Decimal(value)))
            }
            (Self::Double(_), _) | (_, Self::Double(_)) => {
                Ok(Self::Double(double(self.double(), other.double())))
            }
            (Self::Int(one), Self::Int(two)) => {
                Ok(Self::narrow(whole(one.into(), two.into()).unwrap_or(i64::MAX)))
            }
            (one, two) => match whole(one.whole().unwrap_or(0), two.whole().unwrap_or(0)) {
                Some(value) => Ok(Self::Long(value)),
                None => wrong("the result is beyond 64 bits"),
            },
        }
    }
}

/// The nearest double.
pub(super) fn long_to_double(value: i64) -> f64 {
    value as f64
}

/// The whole part of a double; `None` if it is no number or beyond 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn truncated(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}

fn doubles(one: f64, two: f64) -> Ordering {
    one.partial_cmp(&two).unwrap_or_else(|| two.is_nan().cmp(&one.is_nan()))
}

fn long_with_double(one: i64, two: f64) -> Ordering {
    match truncated(two) {
        Some(whole) => one.cmp(&whole).then_with(|| doubles(0.0, two - two.trunc())),
        None if two < 0.0 || two.is_nan() => Ordering::Greater,
        None => Ordering::Less,
    }
}

/// By doubles first; where the decimal was rounded to the same double, with 34 digits.
fn decimal_with_double(one: Decimal, two: f64) -> Ordering {
    doubles(one.to_double(), two).then_with(|| one.compare(Decimal::of_double(two)))
}
