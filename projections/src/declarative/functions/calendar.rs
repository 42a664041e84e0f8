//! The calendar, in UTC: days since 1970 as year, month and day, and back, before and after.

use bson::{Bson, DateTime};

use crate::declarative::error::Fault;
use crate::declarative::value::expected;

pub(super) const DAY_MS: i64 = 86_400_000;

/// A moment, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) millis: i64,
    /// Days since 1970.
    pub(super) days: i64,
}

impl Moment {
    /// The parts of milliseconds since 1970.
    pub(super) fn of(millis: i64) -> Self {
        let (days, rest) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            millis: rest % 1000,
            days,
        }
    }

    /// 1 to 366.
    pub(super) fn day_of_year(&self) -> i64 {
        self.days - days_of(self.year, 1, 1) + 1
    }

    /// 1, Monday, to 7.
    pub(super) fn iso_weekday(&self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    /// Year and week of ISO 8601: a week belongs to the year of its Thursday.
    pub(super) fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days + 4 - self.iso_weekday();
        let year = civil(thursday).0;
        (year, (thursday - days_of(year, 1, 1)) / 7 + 1)
    }

    /// The week, 0 to 53, where weeks begin on Sundays.
    pub(super) fn week(&self) -> i64 {
        (self.day_of_year() - 1 - self.iso_weekday() % 7 + 7) / 7
    }
}

/// Year, month and day of days since 1970, in eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719_468
}

/// Number of days of a month.
pub(super) fn days_in(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days_of(year + 1, 1, 1) } else { days_of(year, month + 1, 1) };
    next - days_of(year, month, 1)
}

/// The milliseconds since 1970 of what counts as a date.
pub(super) fn millis(value: Option<&Bson>) -> Result<i64, Fault> {
    match value {
        Some(Bson::DateTime(date)) => Ok(date.timestamp_millis()),
        Some(Bson::Timestamp(at)) => Ok(i64::from(at.time) * 1000),
        Some(Bson::ObjectId(id)) => Ok(id.timestamp().timestamp_millis()),
        other => expected("a date", other),
    }
}

/// A date.
pub(super) fn date(millis: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), days);
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }
}
