//! Whether a cut-over makes the event store refuse events for a moment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a cut-over does to the writers of the event store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// Nothing: no event is refused. A stream that changed right before the pointer moved may be read as it
    /// was before that change, until it is folded some milliseconds later.
    #[default]
    None,
    /// Events are refused for some milliseconds, until the new generation has everything acknowledged.
    Short,
}

impl Fencing {
    /// The name, as given and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Short => "short",
        }
    }
}

impl fmt::Display for Fencing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Fencing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::None, Self::Short].into_iter().find(|fencing| fencing.name() == text);
        found.ok_or_else(|| format!("`{text}` is not `none` or `short`"))
    }
}

/// Why a cut-over has the fence that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FencingReason {
    /// It was asked for.
    Asked,
    /// No projection says that its readers must never see the past.
    #[default]
    ReadsEventually,
    /// A projection says that its readers must never see the past.
    ReadsLatest,
    /// Without change streams, what has to be folded after the flip is found only by comparing all heads.
    NoChangeStreams,
    /// This user may not raise a fence.
    NoPermission,
    /// The event store was read-only already.
    ReadOnly,
    /// There is no event store.
    NoEvents,
}

impl FencingReason {
    /// The reason in words, as the end of a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Asked => "as asked for",
            Self::ReadsEventually => "its readers may see a stream some milliseconds late",
            Self::ReadsLatest => "its readers must never see the past",
            Self::NoChangeStreams => "this server has no change streams",
            Self::NoPermission => "this user may not raise a fence (dbAdmin)",
            Self::ReadOnly => "the event store was read-only already",
            Self::NoEvents => "there is no event store",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for fencing in [Fencing::None, Fencing::Short] {
            assert_eq!(fencing.name().parse(), Ok(fencing));
        }
        assert!("long".parse::<Fencing>().is_err());
    }
}
