//! When a follower compares all heads after deletes, which don't name their streams: once for many of them.

use std::time::{Duration, Instant};

/// Time without a further delete after which the heads are compared.
const QUIET: Duration = Duration::from_secs(1);
/// Longest time until then, however many deletes come.
const LONGEST: Duration = Duration::from_secs(10);
/// The heads are compared for at most one part in so many of the time.
const SHARE: u32 = 10;

/// Deletes whose streams aren't known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deletes {
    /// The first and the last one since the last comparison.
    seen: Option<(Instant, Instant)>,
    /// Earliest time of the next comparison.
    not_before: Option<Instant>,
}

impl Deletes {
    /// Notes that there was one.
    pub(super) fn seen(&mut self, now: Instant) {
        self.seen = Some((self.seen.map_or(now, |(first, _)| first), now));
    }

    /// Whether any of them waits for a comparison.
    pub(super) fn are_waiting(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether the heads are to be compared now.
    pub(super) fn are_due(&self, now: Instant) -> bool {
        let is_over = self.not_before.is_none_or(|not_before| now >= not_before);
        let is_quiet = |(first, last): (Instant, Instant)| {
            now.duration_since(last) >= QUIET || now.duration_since(first) >= LONGEST
        };
        is_over && self.seen.is_some_and(is_quiet)
    }

    /// After a comparison that began and ended at these times.
    pub(super) fn compared(began: Instant, ended: Instant) -> Self {
        Self { seen: None, not_before: Some(ended + ended.duration_since(began) * SHARE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deletes_are_compared_once_and_a_comparison_takes_a_share_of_the_time() {
        let start = Instant::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let mut deletes = Deletes::default();
        assert!(!deletes.are_due(at(0)) && !deletes.are_waiting());
        deletes.seen(at(0));
        deletes.seen(at(900));
        assert!(deletes.are_waiting() && !deletes.are_due(at(1_800)) && deletes.are_due(at(1_900)));
        for tick in 1..20 {
            deletes.seen(at(tick * 500));
        }
        // They never end, and are compared all the same.
        assert!(!deletes.are_due(at(9_900)) && deletes.are_due(at(10_000)));
        let mut deletes = Deletes::compared(at(10_000), at(11_000));
        deletes.seen(at(11_500));
        assert!(!deletes.are_due(at(20_900)) && deletes.are_due(at(21_000)));
    }
}
