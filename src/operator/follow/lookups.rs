//! When a follower looks whether snapshots changed that others looked up.

use std::time::{Duration, Instant};

use crate::engine::refolding::{Generation, Refolding};
use crate::error::Result;

/// Longest time between two looks, unless a look takes long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// The looks at what a generation requires.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    last: Option<(Instant, Duration)>,
}

impl Looks {
    /// Whether to look now. `changed`: something was just refolded.
    fn are_due(&self, now: Instant, changed: bool) -> bool {
        self.last.is_none_or(|(ended, took)| {
            let pause = took * SHARE;
            now.duration_since(ended) >= if changed { pause } else { pause.max(LOOK_EVERY) }
        })
    }

    /// The streams of a generation that have to be refolded because of what they looked up. `changed`:
    /// another generation was just refolded.
    ///
    /// # Errors
    /// What the server said.
    pub(super) async fn outdated(
        &mut self,
        refolding: &Refolding,
        generation: &Generation,
        changed: bool,
    ) -> Result<Vec<String>> {
        let began = Instant::now();
        let Some(required) = generation.required.as_ref().filter(|_| self.are_due(began, changed)) else {
            return Ok(Vec::new());
        };
        let streams = if required.is_known() {
            required.changed().await?
        } else {
            // Whatever is left is found the next time.
            refolding.compare(generation).await?
        };
        let ended = Instant::now();
        self.last = Some((ended, ended - began));
        Ok(streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_once_a_second_at_once_after_a_change_and_for_a_share_of_the_time() {
        let start = Instant::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        assert!(Looks::default().are_due(at(0), false));
        let quick = Looks { last: Some((at(0), Duration::from_millis(3))) };
        assert!(quick.are_due(at(30), true) && !quick.are_due(at(29), true));
        assert!(quick.are_due(at(1_000), false) && !quick.are_due(at(999), false));
        let slow = Looks { last: Some((at(0), Duration::from_secs(1))) };
        assert!(slow.are_due(at(10_000), false) && !slow.are_due(at(9_999), true));
    }
}
