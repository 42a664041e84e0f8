//! The feed of the event store, as those see it who take from it: what is dirty, up to when, and since when.

use std::sync::Arc;
use std::time::Duration;

use bson::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::lifecycle::Dirty;
use crate::store::events::changes::Shared;

/// The feed at work, on a task of its own.
pub(crate) struct Feed {
    pub(in crate::store) shared: Arc<Shared>,
    pub(in crate::store) begin: CancellationToken,
    pub(in crate::store) stop: CancellationToken,
    pub(in crate::store) task: JoinHandle<()>,
}

/// See [`Feed::marker`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marker(u64);

/// How far behind the feed is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Behind {
    /// Dirty streams.
    pub(crate) streams: usize,
    /// Seconds since the oldest change that isn't folded, by the server's time.
    pub(crate) seconds: u32,
}

fn ended() -> Error {
    Error::Mismatch("the event store can't be followed any more".into())
}

impl Feed {
    /// Opens the change stream. Not before the bulk is written: the server would look at each of its
    /// inserts to find that it isn't one of the event store's, while it is busy with them.
    pub(crate) fn begin(&self) {
        self.begin.cancel();
    }

    /// Takes what is dirty for the projection at this position: streams, and whether any other may be.
    ///
    /// # Errors
    /// Why the feed ended, if it did.
    pub(crate) fn take(&self, projection: usize) -> Result<(Vec<String>, bool)> {
        self.shared.state(|state| match state.failed.take() {
            Some(error) => Err(error),
            None if state.ended => Err(ended()),
            None => Ok(state.dirty.get_mut(projection).map(Dirty::take).unwrap_or_default()),
        })
    }

    /// As [`take`](Self::take), but only streams that were touched until then.
    ///
    /// # Errors
    /// Why the feed ended, if it did.
    pub(crate) fn take_until(&self, projection: usize, until: Timestamp) -> Result<(Vec<String>, bool)> {
        self.shared.state(|state| match state.failed.take() {
            Some(error) => Err(error),
            None if state.ended => Err(ended()),
            None => {
                let dirty = state.dirty.get_mut(projection);
                Ok(dirty.map(|dirty| dirty.take_until(until)).unwrap_or_default())
            }
        })
    }

    /// As [`take`](Self::take), with the time up to which everything was seen.
    ///
    /// # Errors
    /// Why the feed ended, if it did.
    pub(crate) fn take_up_to(&self, projection: usize) -> Result<(Timestamp, Vec<String>, bool)> {
        let position = self.position();
        self.take(projection).map(|(streams, all)| (position, streams, all))
    }

    /// The time up to which everything was seen.
    pub(crate) fn position(&self) -> Timestamp {
        self.shared.look(|state| state.position)
    }

    /// Waits until anything is dirty, or the feed has ended.
    pub(crate) async fn dirtied(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.shared.look(|state| state.ended || !state.dirty.iter().all(Dirty::is_empty)) {
                return;
            }
            changed.await;
        }
    }

    /// How far behind a projection is.
    pub(crate) fn behind(&self, projection: usize) -> Behind {
        self.shared.look(|state| {
            let Some(dirty) = state.dirty.get(projection) else { return Behind::default() };
            let seconds = dirty.oldest().map_or(0, |oldest| state.position.time.saturating_sub(oldest.time));
            Behind { streams: dirty.len(), seconds }
        })
    }

    /// Whether all these streams of a projection are dirty, as far as the feed knows.
    pub(crate) fn has_all(&self, projection: usize, streams: &[String]) -> bool {
        self.shared.look(|state| {
            state.dirty.get(projection).is_some_and(|dirty| streams.iter().all(|one| dirty.has(one)))
        })
    }

    /// A marker to wait behind: the next fence of a cut-over.
    pub(crate) fn marker(&self) -> Marker {
        Marker(self.shared.look(|state| state.fenced))
    }

    /// Waits until everything written up to a time was seen, or a marker that was set by that time:
    /// changes come in order, and a marker comes at once where a time is told only now and then.
    ///
    /// # Errors
    /// [`Error::Deadline`] after so long; why the feed ended, if it did.
    pub(crate) async fn reached(
        &self,
        time: Timestamp,
        marker: Option<Marker>,
        within: Duration,
    ) -> Result<()> {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.shared.look(|state| {
                    let marked = marker.is_some_and(|Marker(before)| state.fenced > before);
                    marked || state.position >= time || state.ended
                }) {
                    return;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(within, wait).await {
            Ok(()) => match self.shared.state(|state| (state.failed.take(), state.ended)) {
                (Some(error), _) => Err(error),
                (None, true) => Err(ended()),
                (None, false) => Ok(()),
            },
            Err(_) => Err(Error::Deadline {
                doing: "waiting until all changes were seen".into(),
                seconds: within.as_secs().max(1),
            }),
        }
    }

    /// Ends the feed.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::debug!(%error, "the feed failed");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
