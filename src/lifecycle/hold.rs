//! Reasons for a run to wait instead of writing: a pause, or replication lag.

use std::time::Duration;

/// Reasons for a run to wait, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PauseReason {
    /// The pause, if there is one: nothing is read or written.
    pub paused: Option<String>,
    /// The replication lag, if it is too large: nothing is written.
    pub behind: Option<String>,
}

impl PauseReason {
    /// The reason not to write; a pause takes precedence.
    #[must_use]
    pub(crate) fn reason(&self) -> Option<&str> {
        self.paused.as_deref().or(self.behind.as_deref())
    }
}

/// Replication lag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReplicationLag {
    /// The member that lags, in words.
    pub who: String,
    /// Its lag.
    pub behind: Duration,
}

/// A member of a replica set, as the primary sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its address.
    pub name: String,
    /// Whether it is a secondary that is up.
    pub is_secondary: bool,
    /// Whether it is hidden or delayed: its lag doesn't count.
    pub is_aside: bool,
    /// Time of the newest write it has, in milliseconds.
    pub written_ms: i64,
}

/// State of a replica set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replication<'a> {
    /// Time of the primary's newest write, in milliseconds.
    pub primary_ms: i64,
    /// All members.
    pub members: &'a [Member],
}

impl Replication<'_> {
    /// The lag of the slowest secondary; `None` if no secondary counts.
    #[must_use]
    pub(crate) fn lag(&self) -> Option<ReplicationLag> {
        let counted = self.members.iter().filter(|member| member.is_secondary && !member.is_aside);
        let worst = counted.min_by_key(|member| member.written_ms)?;
        let behind = u64::try_from(self.primary_ms.saturating_sub(worst.written_ms)).unwrap_or(0);
        let who = format!("the secondary {}", worst.name);
        Some(ReplicationLag { who, behind: Duration::from_millis(behind) })
    }
}

impl ReplicationLag {
    /// The reason to wait in words, if the lag is above `max`.
    #[must_use]
    pub(crate) fn over(&self, max: Duration) -> Option<String> {
        let seconds = |time: Duration| time.as_secs_f64();
        (self.behind > max).then(|| {
            format!(
                "{} is {:.0} s behind, at most {} s are allowed",
                self.who,
                seconds(self.behind),
                seconds(max)
            )
        })
    }
}

/// Durations of the latest batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    last: Vec<Duration>,
}

/// Number of batches that count.
const BATCHES: usize = 5;
/// The shortest and the longest time that writing pauses between two batches.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

impl Latencies {
    /// Records the duration of a batch.
    pub(crate) fn note(&mut self, took: Duration) {
        if self.last.len() == BATCHES {
            self.last.remove(0);
        }
        self.last.push(took);
    }

    /// The median of the latest batches, if it is above the limit.
    #[must_use]
    pub(crate) fn above(&self, limit: Duration) -> Option<Duration> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().filter(|median| *median > limit)
    }

    /// The pause before the next batch, which shows whether the server has recovered.
    #[must_use]
    pub(crate) fn pause(median: Duration) -> Duration {
        (median * 2).clamp(PAUSE.0, PAUSE.1)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn member(name: &str, written_ms: i64) -> Member {
        Member { name: name.into(), is_secondary: true, is_aside: false, written_ms }
    }

    #[test]
    fn the_worst_secondary_counts_and_those_aside_do_not() {
        let ten = Duration::from_secs(10);
        let mut members = vec![member("b", 95_000), member("c", 88_000), member("delayed", 0)];
        members[2].is_aside = true;
        members.push(Member { is_secondary: false, ..member("down", 0) });
        let lag = |members: &[Member]| Replication { primary_ms: 100_000, members }.lag();
        let worst = lag(&members);
        assert_eq!(
            worst.as_ref().and_then(|lag| lag.over(ten)).as_deref(),
            Some("the secondary c is 12 s behind, at most 10 s are allowed")
        );
        members[1].written_ms = 91_000;
        assert_eq!(lag(&members).and_then(|lag| lag.over(ten)), None);
        assert_eq!(lag(&members[2..]), None);
        // The newest write of a secondary may be newer than the last one the primary reported.
        assert_eq!(lag(&[member("b", 101_000)]).map(|lag| lag.behind), Some(Duration::ZERO));
    }

    #[test]
    fn a_median_above_the_limit_throttles_and_one_slow_batch_does_not() {
        let ms = Duration::from_millis;
        let mut latencies = Latencies::default();
        assert_eq!(latencies.above(ms(50)), None);
        for took in [10, 10, 900, 10, 10] {
            latencies.note(ms(took));
        }
        assert_eq!(latencies.above(ms(50)), None);
        for took in [80, 90, 100] {
            latencies.note(ms(took));
        }
        assert_eq!(latencies.above(ms(50)), Some(ms(80)));
        for _ in 0..3 {
            latencies.note(ms(5));
        }
        assert_eq!(latencies.above(ms(50)), None);
        assert_eq!([ms(1), ms(100), ms(9000)].map(Latencies::pause), [ms(20), ms(200), ms(1000)]);
    }

    #[test]
    fn a_pause_comes_before_all_else() {
        let hold = PauseReason { paused: Some("paused".into()), behind: Some("behind".into()) };
        assert_eq!(hold.reason(), Some("paused"));
        assert_eq!(PauseReason::default().reason(), None);
    }
}
