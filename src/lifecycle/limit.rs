//! Limit of failed streams above which nothing is published.

use std::fmt;
use std::str::FromStr;

/// Limit of failed streams: a number, or a share of all streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorLimit {
    /// At most this number.
    Count(u64),
    /// At most this share of all streams, in percent.
    Percent(f64),
}

impl Default for ErrorLimit {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl ErrorLimit {
    /// Whether this number of failed streams exceeds the limit.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "stream counts are far below 2^53")]
    pub fn is_exceeded(self, failed_streams: u64, streams: u64) -> bool {
        match self {
            Self::Count(allowed) => failed_streams > allowed,
            Self::Percent(allowed) => failed_streams as f64 * 100.0 > allowed * streams as f64,
        }
    }
}

impl fmt::Display for ErrorLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(allowed) => write!(formatter, "{allowed}"),
            Self::Percent(allowed) => write!(formatter, "{allowed}%"),
        }
    }
}

impl FromStr for ErrorLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || format!("`{text}` is neither a number of streams (3) nor a share of them (0.5%)");
        match text.strip_suffix('%') {
            Some(share) => {
                let share: f64 = share.trim().parse().map_err(|_| problem())?;
                (0.0..=100.0).contains(&share).then_some(Self::Percent(share)).ok_or_else(problem)
            }
            None => text.parse().map(Self::Count).map_err(|_| problem()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares_read_and_decide() {
        assert_eq!("3".parse(), Ok(ErrorLimit::Count(3)));
        assert_eq!("0.5%".parse(), Ok(ErrorLimit::Percent(0.5)));
        for bad in ["", "%", "-1", "101%", "x%", "1.5"] {
            assert!(bad.parse::<ErrorLimit>().is_err(), "{bad}");
        }
        assert!(!ErrorLimit::Count(1).is_exceeded(1, 10) && ErrorLimit::Count(1).is_exceeded(2, 10));
        assert!(
            !ErrorLimit::Percent(10.0).is_exceeded(1, 10) && ErrorLimit::Percent(10.0).is_exceeded(2, 10)
        );
        assert!(!ErrorLimit::Percent(0.0).is_exceeded(0, 0));
    }
}
