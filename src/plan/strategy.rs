//! The order in which the event store is read, chosen from statistics.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Order in which the event store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Natural order, with one state per stream in memory.
    Natural,
    /// Natural order, into a file by ranges of streams, which are then folded one range at a time.
    Spill,
    /// Stream by stream, through the index, with one state in memory.
    Stream,
    /// Natural order, in parts that processes share: each hands the commits over, in a collection, to whoever
    /// folds them.
    Exchange,
}

impl Strategy {
    const ALL: [Self; 4] = [Self::Natural, Self::Spill, Self::Stream, Self::Exchange];

    /// The name, as given in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Spill => "spill",
            Self::Stream => "stream",
            Self::Exchange => "exchange",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.name() == text);
        found.ok_or_else(|| format!("`{text}` is no strategy: there are natural, spill, stream and exchange"))
    }
}

/// Division of an event store that is read in natural order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NaturalBy {
    /// Ranges of the record ids of one server.
    RecordIds,
    /// Ranges of the commits' timestamps.
    Timestamps,
    /// None: one cursor reads it all.
    OneCursor,
}

impl fmt::Display for NaturalBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RecordIds => "ranges of record ids",
            Self::Timestamps => "ranges of timestamps",
            Self::OneCursor => "one cursor",
        })
    }
}

/// Facts a strategy is chosen by. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PassFacts {
    /// Commits in the event store.
    pub commits: u64,
    /// Their size, uncompressed.
    pub bytes: u64,
    /// Commits of the streams that are to be folded.
    pub wanted_commits: u64,
    /// Size of their states and names, all in memory.
    pub states_bytes: u64,
    /// Cache of the server, where it tells.
    pub cache_bytes: Option<u64>,
    /// Memory this process may use.
    pub memory_bytes: u64,
}

/// Whether a server's cache holds so many bytes beside what else it has; it does where it doesn't tell.
#[must_use]
fn is_cached(bytes: u64, cache_bytes: Option<u64>) -> bool {
    cache_bytes.is_none_or(|cache| bytes <= cache / 5 * 4)
}

/// A chosen strategy with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The strategy.
    pub strategy: Strategy,
    /// The reason, in words.
    pub reason: String,
}

/// Minimum memory for the buffers of a spill.
const SPILL_MEMORY_MIN: u64 = 32 << 20;

impl PassFacts {
    /// Chooses a strategy, unless one is forced.
    #[must_use]
    pub(crate) fn choose(&self, forced: Option<Strategy>) -> Choice {
        let (states, memory) = (ByteSize(self.states_bytes), ByteSize(self.memory_bytes));
        if let Some(strategy) = forced {
            return Choice { strategy, reason: "as was asked for".into() };
        }
        // Through the index each commit is fetched by itself, which costs about ten times as much as in
        // natural order, and about twenty times if the cache doesn't hold it.
        let share = if is_cached(self.bytes, self.cache_bytes) { 10 } else { 5 };
        if self.wanted_commits.saturating_mul(100) < self.commits.saturating_mul(share) {
            let reason = format!(
                "{} of {} commits are wanted, less than {share} %: fetching those alone is cheaper",
                self.wanted_commits, self.commits
            );
            return Choice { strategy: Strategy::Stream, reason };
        }
        // With a margin, because the estimate may be wrong and restarting a pass is expensive.
        if self.states_bytes <= self.memory_bytes / 5 * 4 {
            let reason = format!("the states need about {states} of {memory}");
            return Choice { strategy: Strategy::Natural, reason };
        }
        if self.memory_bytes >= SPILL_MEMORY_MIN {
            let reason = format!("the states need about {states}, more than {memory}");
            return Choice { strategy: Strategy::Spill, reason };
        }
        Choice {
            strategy: Strategy::Stream,
            reason: format!("{memory} is too little even for the buffers of a spill"),
        }
    }
}

/// Cost of fetching a commit through the index, where the server's cache holds the event store: as many
/// commits of a scan in natural order.
const FETCHED: u64 = 3;
/// The same where the cache doesn't hold it.
const FETCHED_COLD: u64 = 10;
/// Cost of handing a commit over: compressed, written, read again.
const HANDED_OVER: u64 = 2;

impl PassFacts {
    /// Chooses how so many processes together read so many projections: each of them is scanned by itself.
    #[must_use]
    pub(crate) fn share(&self, processes: u32, projections: usize) -> Choice {
        let is_cached = is_cached(self.bytes, self.cache_bytes);
        let fetched = self.wanted_commits.saturating_mul(if is_cached { FETCHED } else { FETCHED_COLD });
        let scanned = self.commits.saturating_mul(projections as u64);
        let exchanged = scanned.saturating_add(self.wanted_commits.saturating_mul(HANDED_OVER));
        let held = if is_cached { "holds" } else { "doesn't hold" };
        if exchanged < fetched {
            let reason = format!(
                "{processes} processes read in natural order and exchange what they read: the server's cache \
                 {held} the event store"
            );
            return Choice { strategy: Strategy::Exchange, reason };
        }
        let reason = format!(
            "{processes} processes build together, and each reads whole streams: the server's cache {held} \
             the event store"
        );
        Choice { strategy: Strategy::Stream, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: PassFacts = PassFacts {
        commits: 1_000_000,
        bytes: 1 << 30,
        wanted_commits: 500_000,
        states_bytes: 100 << 20,
        cache_bytes: Some(2 << 30),
        memory_bytes: 1 << 30,
    };

    fn chosen(facts: PassFacts) -> Strategy {
        facts.choose(None).strategy
    }

    #[test]
    fn states_that_fit_are_folded_in_memory() {
        assert_eq!(chosen(FACTS), Strategy::Natural);
        assert_eq!(FACTS.choose(None).reason, "the states need about 100.0 MiB of 1.0 GiB");
        assert_eq!(chosen(PassFacts { states_bytes: 900 << 20, ..FACTS }), Strategy::Spill);
        assert_eq!(chosen(PassFacts { memory_bytes: 64 << 20, ..FACTS }), Strategy::Spill);
        assert_eq!(chosen(PassFacts { memory_bytes: 16 << 20, ..FACTS }), Strategy::Stream);
    }

    #[test]
    fn a_small_share_is_fetched_by_the_index_unless_the_cache_is_small() {
        let few = PassFacts { wanted_commits: 80_000, ..FACTS };
        assert_eq!(chosen(few), Strategy::Stream);
        assert_eq!(chosen(PassFacts { cache_bytes: None, ..few }), Strategy::Stream);
        assert_eq!(chosen(PassFacts { cache_bytes: Some(1 << 30), ..few }), Strategy::Natural);
        let fewer = PassFacts { wanted_commits: 40_000, cache_bytes: Some(1 << 30), ..FACTS };
        assert_eq!(chosen(fewer), Strategy::Stream);
    }

    #[test]
    fn processes_exchange_commits_where_fetching_them_is_dear() {
        let shared = |facts: PassFacts, projections| facts.share(4, projections).strategy;
        assert_eq!(shared(FACTS, 1), Strategy::Stream);
        let cold = PassFacts { cache_bytes: Some(1 << 30), ..FACTS };
        assert_eq!(shared(cold, 1), Strategy::Exchange);
        // A few of many commits are fetched all the same.
        assert_eq!(shared(PassFacts { wanted_commits: 40_000, ..cold }, 1), Strategy::Stream);
        assert_eq!(shared(cold, 20), Strategy::Stream);
    }

    #[test]
    fn what_is_forced_is_taken() {
        for strategy in Strategy::ALL {
            assert_eq!(FACTS.choose(Some(strategy)).strategy, strategy);
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert!("other".parse::<Strategy>().is_err());
    }
}
