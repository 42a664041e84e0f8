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
    /// These streams are refolded from the event store and compared with the stored snapshots.
    Streams(Share),
    /// Only the heads of all streams are compared.
    Heads,
}

impl Default for Verify {
    fn default() -> Self {
        Self::Streams(Share::ALL)
    }
}

impl FromStr for Verify {
    type Err = String;

    /// Reads `full`, `heads`, `sample 5%` or `5%`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "full" => Ok(Self::default()),
            "heads" => Ok(Self::Heads),
            share => {
                let share = share.strip_prefix("sample").unwrap_or(share);
                let wrong = |_| format!("`{text}` is not `full`, `heads` or a share as `5%`");
                share.parse().map(Self::Streams).map_err(wrong)
            }
        }
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams(share) if share.is_all() => formatter.write_str("full"),
            Self::Streams(share) => write!(formatter, "sample {share}"),
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
    }

    #[test]
    fn what_was_written_reads_back_and_nonsense_does_not() {
        for (text, shown) in
            [("full", "full"), ("heads", "heads"), ("sample 5%", "sample 5%"), ("0.1%", "sample 0.1%")]
        {
            assert_eq!(text.parse::<Verify>().unwrap().to_string(), shown);
        }
        assert_eq!("100%".parse::<Verify>(), Ok(Verify::default()));
        for text in ["", "0%", "101%", "-1", "many", "NaN"] {
            assert!(text.parse::<Verify>().is_err(), "{text}");
        }
    }
}
