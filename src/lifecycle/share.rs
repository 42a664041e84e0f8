//! Extent of the verification of a generation before its cut-over.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A share of all streams, selected by the hashes of their names: always the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    millionths: u32,
}

const ALL: u32 = 1_000_000;

impl Share {
    /// All streams.
    pub const ALL: Self = Self { millionths: ALL };

    /// Whether a stream with this hash is in the share.
    #[must_use]
    pub fn takes(self, hash: u64) -> bool {
        self.is_all() || hash % u64::from(ALL) < u64::from(self.millionths)
    }

    /// Whether it is all streams.
    #[must_use]
    pub fn is_all(self) -> bool {
        self.millionths == ALL
    }

    /// A share that is at least this one, and at least `count` of about `all` streams.
    #[must_use]
    pub(crate) fn or_of_at_least(self, count: u64, all: u64) -> Self {
        let wanted = u128::from(count) * u128::from(ALL) / u128::from(all.max(1));
        Self { millionths: self.millionths.max(u32::try_from(wanted).unwrap_or(ALL).min(ALL)) }
    }

    /// A share that is at most this one, and at most about `count` of about `all` streams.
    #[must_use]
    pub(crate) fn and_of_at_most(self, count: u64, all: u64) -> Self {
        let most = u128::from(count) * u128::from(ALL) / u128::from(all.max(1));
        Self { millionths: self.millionths.min(u32::try_from(most).unwrap_or(ALL)) }
    }

    /// This share of a number.
    #[must_use]
    pub fn of(self, number: u64) -> u64 {
        let share = u128::from(number) * u128::from(self.millionths) / u128::from(ALL);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = String;

    /// Reads `5%`, `0.1%` or `5`: percent, above 0 and up to 100.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let percent: f64 = number.parse().map_err(|_| format!("`{text}` is not a share, as `5%`"))?;
        if !(percent > 0.0 && percent <= 100.0) {
            return Err(format!("a share is above 0% and at most 100%, not `{text}`"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million")]
        let millionths = (percent * 10_000.0).round().max(1.0) as u32;
        Ok(Self { millionths })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", f64::from(self.millionths) / 10_000.0)
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Extent of the verification before a cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// What is stored is compared with what was folded, by the digest of all snapshots; what was folded with
    /// the event store, by the heads of all streams; and this share of the streams is folded once more, in
    /// stream order.
    Proof(Share),
    /// Every stream is folded once more and compared.
    Full,
    /// Only the heads of all streams are compared.
    Heads,
}

/// Share of the streams that a proof folds once more by default.
const SAMPLE: Share = Share { millionths: ALL / 100 };

/// Streams that a proof folds once more, at least.
const SAMPLE_MIN: u64 = 1000;
/// Streams that a proof folds once more, at most, besides the notable ones: their names are held in memory.
const SAMPLE_MAX: u64 = 200_000;

impl Verify {
    /// Share of about so many streams that a proof folds once more; `None` if this is no proof.
    #[must_use]
    pub(crate) fn sample(self, streams: u64) -> Option<Share> {
        match self {
            Self::Proof(share) => {
                Some(share.or_of_at_least(SAMPLE_MIN, streams).and_of_at_most(SAMPLE_MAX, streams))
            }
            Self::Full | Self::Heads => None,
        }
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self::Proof(SAMPLE)
    }
}

impl FromStr for Verify {
    type Err = String;

    /// Reads `proof`, `full`, `heads`, or a proof with another sample, as `5%`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "proof" => Ok(Self::default()),
            "full" => Ok(Self::Full),
            "heads" => Ok(Self::Heads),
            share => {
                let share = share.strip_prefix("sample").unwrap_or(share);
                let wrong = |_| format!("`{text}` is not `proof`, `full`, `heads` or a share as `5%`");
                let share: Share = share.parse().map_err(wrong)?;
                Ok(if share.is_all() { Self::Full } else { Self::Proof(share) })
            }
        }
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(share) if *share == SAMPLE => formatter.write_str("proof"),
            Self::Proof(share) => write!(formatter, "sample {share}"),
            Self::Full => formatter.write_str("full"),
            Self::Heads => formatter.write_str("heads"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::lifecycle::heads::stream_hash;

    #[test]
    fn a_share_takes_about_as_many_streams_as_it_says() {
        let share: Share = "5%".parse().unwrap();
        let taken = (0..20_000).filter(|at| share.takes(stream_hash(&format!("asset-{at}")))).count();
        assert!((800..1200).contains(&taken), "{taken}");
        assert_eq!(share.of(20_000), 1000);
        assert!((0..100).all(|hash| Share::ALL.takes(hash * 99_999)));
        // At least so many of few streams, and all where there are fewer.
        assert_eq!(share.or_of_at_least(1000, 100_000), share);
        assert_eq!(share.or_of_at_least(1000, 10_000).of(10_000), 1000);
        assert_eq!(share.and_of_at_most(1000, 10_000), share);
        assert_eq!(share.and_of_at_most(1000, 100_000).of(100_000), 1000);
        assert!(share.or_of_at_least(1000, 10).is_all() && share.or_of_at_least(1000, 0).is_all());
    }

    #[test]
    fn what_was_written_reads_back_and_nonsense_does_not() {
        for (text, shown) in [
            ("proof", "proof"),
            ("1%", "proof"),
            ("full", "full"),
            ("100%", "full"),
            ("heads", "heads"),
            ("sample 5%", "sample 5%"),
            ("0.1%", "sample 0.1%"),
        ] {
            assert_eq!(text.parse::<Verify>().unwrap().to_string(), shown);
        }
        assert_eq!("proof".parse::<Verify>(), Ok(Verify::default()));
        for text in ["", "0%", "101%", "-1", "many", "NaN"] {
            assert!(text.parse::<Verify>().is_err(), "{text}");
        }
    }
}
