//! States of a build and the legal moves between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// State of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// Partitions are fixed; nothing is written yet.
    Planned,
    /// Streams are folded into the staging collections.
    Building,
    /// Indexes are built.
    Indexing,
    /// Streams that changed since the build began are refolded.
    CatchingUp,
    /// The staging collections equal the event store.
    Verified,
    /// The collections have their final names; readers don't use them yet.
    Published,
    /// The pointer names this generation.
    Active,
    /// A newer generation took its place.
    Retired,
    /// Its collections are gone.
    Dropped,
    /// It ended with an error and can be resumed.
    Failed,
    /// It was given up; its staging collections are gone.
    Aborted,
}

impl BuildState {
    /// All states, in the order a build goes through them.
    pub const ALL: [Self; 11] = [
        Self::Planned,
        Self::Building,
        Self::Indexing,
        Self::CatchingUp,
        Self::Verified,
        Self::Published,
        Self::Active,
        Self::Retired,
        Self::Dropped,
        Self::Failed,
        Self::Aborted,
    ];

    /// The name, as stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Building => "building",
            Self::Indexing => "indexing",
            Self::CatchingUp => "catching_up",
            Self::Verified => "verified",
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }

    /// Whether a build may go from this state to the other one.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use BuildState::{
            Aborted, Active, Building, CatchingUp, Dropped, Failed, Indexing, Planned, Published, Retired,
            Verified,
        };
        match next {
            Planned => false,
            // A resumed build checks its partitions again, whatever its state was.
            Building => self.is_resumable(),
            Indexing => self == Building,
            CatchingUp => self == Indexing,
            Verified => self == CatchingUp,
            // A roll back publishes a retired generation again, after another verification.
            Published => matches!(self, Verified | Retired),
            Active => self == Published,
            Retired => matches!(self, Active | Published),
            Dropped => self == Retired,
            Failed => self.is_before_published() && self != Failed,
            // A published build is aborted only after a check that readers don't use it.
            Aborted => self.is_before_published() || self == Published,
        }
    }

    /// The states from which a build may enter this state.
    #[must_use]
    pub fn sources(self) -> Vec<Self> {
        Self::ALL.into_iter().filter(|state| state.may_become(self)).collect()
    }

    /// Whether a rebuild may resume a build in this state.
    #[must_use]
    pub fn is_resumable(self) -> bool {
        self.is_before_published()
    }

    /// Whether this is a final state: the remains of the build may be removed.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Aborted | Self::Dropped)
    }

    fn is_before_published(self) -> bool {
        matches!(
            self,
            Self::Planned
                | Self::Building
                | Self::Indexing
                | Self::CatchingUp
                | Self::Verified
                | Self::Failed
        )
    }
}

impl fmt::Display for BuildState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for BuildState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("`{text}` is not a state of a build"))
    }
}

#[cfg(test)]
mod tests {
    use super::BuildState::{self, *};

    #[test]
    fn the_way_of_a_build_is_legal() {
        let way = [Planned, Building, Indexing, CatchingUp, Verified, Published, Active, Retired, Dropped];
        assert!(way.windows(2).all(|pair| matches!(pair, [from, to] if from.may_become(*to))));
    }

    #[test]
    fn nothing_is_published_that_was_not_verified() {
        assert_eq!(Published.sources(), [Verified, Retired]);
        assert_eq!(Verified.sources(), [CatchingUp]);
        assert_eq!(Active.sources(), [Published]);
    }

    #[test]
    fn what_readers_use_neither_fails_nor_is_aborted() {
        for state in [Active, Retired, Dropped, Aborted] {
            assert!(!state.may_become(Failed) && !state.may_become(Aborted) && !state.may_become(Building));
        }
    }

    #[test]
    fn names_read_back() {
        for state in BuildState::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert!("odd".parse::<BuildState>().is_err());
    }
}
