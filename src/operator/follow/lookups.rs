//! When a follower looks whether snapshots changed that others looked up.

use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use crate::engine::refolding::{Generation, Refolding};
use crate::error::{Error, Result};
use crate::pipeline::Required;

/// Longest time between two looks, unless a look takes long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for which the refolding of others waits for a look.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// The looks at what a generation requires.
#[derive(Default)]
pub(super) struct Looks {
    /// When the last one ended, and how long it took.
    last: Option<(Instant, Duration)>,
    /// The one that is made now, beside the refolding of others.
    now: Option<Look>,
}

/// A look that is made.
struct Look {
    began: Instant,
    /// Whether it was known what every stream looked up.
    was_known: bool,
    task: AbortOnDropHandle<Result<Vec<String>>>,
}

impl Looks {
    /// Whether to look now. `changed`: something was just refolded.
    fn are_due(&self, now: Instant, changed: bool) -> bool {
        self.last.is_none_or(|(ended, took)| {
            let pause = took * SHARE;
            now.duration_since(ended) >= if changed { pause } else { pause.max(LOOK_EVERY) }
        })
    }

    /// The streams of a generation that have to be refolded because of what they looked up, once that is
    /// found out. `changed`: another generation was just refolded.
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
        if self.now.is_none() && self.are_due(began, changed) {
            let Some(required) = generation.required.clone() else { return Ok(Vec::new()) };
            let is_known = required.is_known();
            let task = if is_known {
                tokio::spawn(async move { required.changed().await })
            } else {
                tokio::spawn(refolding.comparing(generation).run())
            };
            self.now = Some(Look { began, was_known: is_known, task: AbortOnDropHandle::new(task) });
        }
        let Some(Look { began, was_known, task }) = &mut self.now else { return Ok(Vec::new()) };
        let Ok(found) = tokio::time::timeout(AT_ONCE, task).await else { return Ok(Vec::new()) };
        // Comparing everything says nothing about how long a look takes from now on.
        let is_known = generation.required.as_ref().is_some_and(Required::is_known);
        let took = if *was_known || !is_known { began.elapsed() } else { Duration::ZERO };
        self.last = Some((Instant::now(), took));
        self.now = None;
        found.map_err(|error| Error::Bug(error.to_string()))?
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
        let quick = Looks { last: Some((at(0), Duration::from_millis(3))), now: None };
        assert!(quick.are_due(at(30), true) && !quick.are_due(at(29), true));
        assert!(quick.are_due(at(1_000), false) && !quick.are_due(at(999), false));
        let slow = Looks { last: Some((at(0), Duration::from_secs(1))), now: None };
        assert!(slow.are_due(at(10_000), false) && !slow.are_due(at(9_999), true));
    }
}
