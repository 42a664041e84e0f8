//! Decimals, as far as they are exact: read, compared, added and multiplied without rounding.
//!
//! Invariant: an operation that the server would round returns `None`.

use std::cmp::Ordering;

use bson::Decimal128;

/// The largest coefficient, 34 digits.
const MAX: u128 = 9_999_999_999_999_999_999_999_999_999_999_999;
const BIAS: i32 = 6176;
const LARGEST_EXPONENT: i32 = 6111;

/// A decimal: ±coefficient × 10^exponent, or a special value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decimal {
    /// No number.
    NaN,
    /// Infinity; true if negative.
    Infinite(bool),
    /// A number.
    Finite {
        /// Whether it is below zero, or -0.
        negative: bool,
        /// The digits.
        coefficient: u128,
        /// The power of ten.
        exponent: i32,
    },
}

impl Decimal {
    /// Reads the binary form.
    pub(super) fn read(stored: &Decimal128) -> Self {
        let bits = u128::from_le_bytes(stored.bytes());
        let negative = bits >> 127 == 1;
        let field = |shift: u32| i32::try_from((bits >> shift) & 0x3FFF).unwrap_or(0) - BIAS;
        match (bits >> 122) & 0x1F {
            0x1F => Self::NaN,
            0x1E => Self::Infinite(negative),
            // A coefficient of this form is beyond 34 digits, which counts as zero.
            high if high >> 3 == 3 => Self::Finite { negative, coefficient: 0, exponent: field(111) },
            _ => {
                let coefficient = bits & ((1 << 113) - 1);
                let coefficient = if coefficient > MAX { 0 } else { coefficient };
                Self::Finite { negative, coefficient, exponent: field(113) }
            }
        }
    }

    /// The binary form; `None` if it doesn't fit without rounding.
    pub(super) fn write(self) -> Option<Decimal128> {
        let sign = |negative: bool| u128::from(negative) << 127;
        let bits = match self {
            Self::NaN => 0x1F << 122,
            Self::Infinite(negative) => sign(negative) | (0x1E << 122),
            Self::Finite { negative, coefficient, exponent } => {
                if coefficient > MAX || !(-BIAS..=LARGEST_EXPONENT).contains(&exponent) {
                    return None;
                }
                sign(negative) | (u128::try_from(exponent + BIAS).ok()? << 113) | coefficient
            }
        };
        Some(Decimal128::from_bytes(bits.to_le_bytes()))
    }

    /// A whole number.
    pub(super) fn whole(value: i64) -> Self {
        Self::Finite { negative: value < 0, coefficient: value.unsigned_abs().into(), exponent: 0 }
    }

    /// A double with 34 digits, as the server compares it.
    pub(super) fn of_double(value: f64) -> Self {
        if value.is_nan() {
            return Self::NaN;
        }
        if value.is_infinite() {
            return Self::Infinite(value < 0.0);
        }
        let text = format!("{:.33e}", value.abs());
        let parts = text.split_once('e');
        let (digits, exponent) = parts.unwrap_or(("0", "0"));
        let coefficient = digits.replace('.', "").parse().unwrap_or(0);
        let exponent = exponent.parse::<i32>().unwrap_or(0) - 33;
        Self::Finite { negative: value.is_sign_negative(), coefficient, exponent }
    }

    /// The nearest double.
    pub(super) fn to_double(self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinite(true) => f64::NEG_INFINITY,
            Self::Infinite(false) => f64::INFINITY,
            Self::Finite { negative, coefficient, exponent } => {
                let sign = if negative { "-" } else { "" };
                format!("{sign}{coefficient}e{exponent}").parse().unwrap_or(f64::NAN)
            }
        }
    }

    /// Whether it is 0 or -0.
    pub(super) fn is_zero(self) -> bool {
        matches!(self, Self::Finite { coefficient: 0, .. })
    }

    /// The whole part; `None` if it is no number or beyond the range.
    pub(super) fn truncated(self) -> Option<i128> {
        let Self::Finite { negative, coefficient, exponent } = self else { return None };
        let power = 10_u128.checked_pow(exponent.unsigned_abs());
        let value = match (coefficient, exponent >= 0, power) {
            (0, ..) | (_, false, None) => 0,
            (_, true, Some(power)) => coefficient.checked_mul(power)?,
            (_, true, None) => return None,
            (_, false, Some(power)) => coefficient / power,
        };
        let value = i128::try_from(value).ok()?;
        Some(if negative { -value } else { value })
    }

    /// The absolute value.
    pub(super) fn abs(self) -> Self {
        match self {
            Self::Finite { coefficient, exponent, .. } => {
                Self::Finite { negative: false, coefficient, exponent }
            }
            Self::Infinite(_) => Self::Infinite(false),
            Self::NaN => Self::NaN,
        }
    }

    /// The negated value.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Finite { negative, coefficient, exponent } => {
                Self::Finite { negative: !negative, coefficient, exponent }
            }
            Self::Infinite(negative) => Self::Infinite(!negative),
            Self::NaN => Self::NaN,
        }
    }

    /// The sum, if it needs no rounding.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (one, two) = match (self, other) {
            (Self::NaN, _) | (_, Self::NaN) => return Some(Self::NaN),
            (Self::Infinite(one), Self::Infinite(two)) if one != two => return Some(Self::NaN),
            (infinite @ Self::Infinite(_), _) | (_, infinite @ Self::Infinite(_)) => return Some(infinite),
            pair => pair,
        };
        let exponent = one.exponent().min(two.exponent());
        let (first, second) = (one.signed(exponent)?, two.signed(exponent)?);
        let sum = first.checked_add(second)?;
        let both_negative = one.is_negative() && two.is_negative();
        let negative = sum < 0 || (sum == 0 && both_negative);
        let coefficient = sum.unsigned_abs();
        (coefficient <= MAX).then_some(Self::Finite { negative, coefficient, exponent })
    }

    /// The product, if it needs no rounding.
    pub(super) fn times(self, other: Self) -> Option<Self> {
        let negative = self.is_negative() != other.is_negative();
        match (self, other) {
            (Self::NaN, _) | (_, Self::NaN) => Some(Self::NaN),
            (Self::Infinite(_), by) | (by, Self::Infinite(_)) => {
                Some(if by.is_zero() { Self::NaN } else { Self::Infinite(negative) })
            }
            (
                Self::Finite { coefficient: one, exponent: first, .. },
                Self::Finite { coefficient: two, exponent: second, .. },
            ) => {
                let (coefficient, exponent) = (one.checked_mul(two)?, first + second);
                let product = Self::Finite { negative, coefficient, exponent };
                product.write().map(|_| product)
            }
        }
    }

    /// The order of numbers: NaN is below all others and equal to itself.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let rank = |value: Self| match value {
            Self::NaN => 0,
            Self::Infinite(true) => 1,
            Self::Finite { .. } => 2,
            Self::Infinite(false) => 3,
        };
        rank(self).cmp(&rank(other)).then_with(|| {
            let sign = |value: Self| match (value.is_zero(), value.is_negative()) {
                (true, _) => 0,
                (_, true) => -1,
                (_, false) => 1,
            };
            let (one, two) = (sign(self), sign(other));
            one.cmp(&two).then_with(|| match one {
                1 => self.compare_size(other),
                -1 => other.compare_size(self),
                _ => Ordering::Equal,
            })
        })
    }

    fn compare_size(self, other: Self) -> Ordering {
        let (
            Self::Finite { coefficient: one, exponent: first, .. },
            Self::Finite { coefficient: two, exponent: second, .. },
        ) = (self, other)
        else {
            return Ordering::Equal;
        };
        let magnitude = |coefficient: u128, exponent: i32| {
            i32::try_from(coefficient.checked_ilog10().unwrap_or(0)).unwrap_or(0) + exponent
        };
        magnitude(one, first).cmp(&magnitude(two, second)).then_with(|| {
            let low = first.min(second);
            let scaled = |coefficient: u128, exponent: i32| {
                10_u128
                    .checked_pow((exponent - low).unsigned_abs())
                    .and_then(|by| coefficient.checked_mul(by))
            };
            scaled(one, first).cmp(&scaled(two, second))
        })
    }

    fn is_negative(self) -> bool {
        matches!(self, Self::Finite { negative: true, .. } | Self::Infinite(true))
    }

    fn exponent(self) -> i32 {
        if let Self::Finite { exponent, .. } = self { exponent } else { 0 }
    }

    fn signed(self, exponent: i32) -> Option<i128> {
        let Self::Finite { negative, coefficient, exponent: own } = self else { return None };
        let power = 10_u128.checked_pow(u32::try_from(own - exponent).ok()?);
        let scaled = if coefficient == 0 { 0 } else { coefficient.checked_mul(power?)? };
        let value = i128::try_from(scaled).ok()?;
        Some(if negative { -value } else { value })
    }
}
