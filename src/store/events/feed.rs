//! The feed of the event store: dirty streams, the position up to which changes were seen, and the lag.

use std::sync::Arc;
use std::time::Duration;

use bson::Timestamp;
use statefold_projections::StreamFilter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::lifecycle::{Dirty, Taken};
use crate::store::connection::Events;
use crate::store::events::change_buffer::{ChangeBuffer, State};
use crate::store::events::changes::ChangeReader;

/// A feed of the event store. Its change stream is read on a task of its own.
pub(crate) struct Feed {
    buffer: Arc<ChangeBuffer>,
    begin: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A place in the change stream to wait for: see [`Feed::marker`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marker(u64);

/// Lag of a projection behind the event store.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FeedLag {
    /// Dirty streams.
    pub(crate) streams: usize,
    /// Seconds since the oldest change that isn't folded, by the server's time.
    pub(crate) seconds: u32,
}

fn ended() -> Error {
    Error::Mismatch("the event store can't be followed any more".into())
}

impl Events<'_> {
    /// A feed of the event store from a time on, for the streams of these filters, once it is told to
    /// [begin](Feed::begin). While nothing changes, the server tells how far it has looked after each
    /// `patience`.
    pub(crate) fn feed(self, since: Timestamp, filters: Vec<StreamFilter>, patience: Duration) -> Feed {
        let buffer = Arc::new(ChangeBuffer::new(filters.len(), since));
        let (begin, stop) = (CancellationToken::new(), CancellationToken::new());
        let reader =
            ChangeReader { store: self.store.clone(), filters, buffer: Arc::clone(&buffer), patience };
        let task = tokio::spawn(reader.run(since, begin.clone(), stop.clone()));
        Feed { buffer, begin, stop, task }
    }
}

impl Feed {
    /// Opens the change stream. To be called after the bulk inserts: the server would check each of them
    /// against the change stream while it is busy with writing them.
    pub(crate) fn begin(&self) {
        self.begin.cancel();
    }

    /// Takes the dirty streams of the projection with this number.
    ///
    /// # Errors
    /// The reason the feed ended, if it did.
    pub(crate) fn take(&self, projection: usize) -> Result<Taken> {
        self.buffer.update(|state| match state.failed.take() {
            Some(error) => Err(error),
            None if state.ended => Err(ended()),
            None => Ok(state.dirty.get_mut(projection).map(Dirty::take).unwrap_or_default()),
        })
    }

    /// Takes the dirty streams as [`take`](Self::take) does, but only those changed up to a time.
    ///
    /// # Errors
    /// The reason the feed ended, if it did.
    pub(crate) fn take_until(&self, projection: usize, until: Timestamp) -> Result<Taken> {
        self.buffer.update(|state| match state.failed.take() {
            Some(error) => Err(error),
            None if state.ended => Err(ended()),
            None => {
                let dirty = state.dirty.get_mut(projection);
                Ok(dirty.map(|dirty| dirty.take_until(until)).unwrap_or_default())
            }
        })
    }

    /// Takes the dirty streams as [`take`](Self::take) does, with the time up to which all changes were seen.
    ///
    /// # Errors
    /// The reason the feed ended, if it did.
    pub(crate) fn take_up_to(&self, projection: usize) -> Result<(Timestamp, Taken)> {
        let position = self.position();
        self.take(projection).map(|taken| (position, taken))
    }

    /// The time up to which all changes were seen.
    pub(crate) fn position(&self) -> Timestamp {
        self.buffer.look(|state| state.position)
    }

    /// Waits until any stream is dirty, or the feed has ended.
    pub(crate) async fn dirtied(&self) {
        loop {
            let changed = self.buffer.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.buffer.look(|state| state.ended || !state.dirty.iter().all(Dirty::is_empty)) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a stream of a projection is dirty, or all changes up to a time were seen.
    ///
    /// # Errors
    /// [`Error::Deadline`] after `within`.
    pub(crate) async fn stirred(&self, projection: usize, time: Timestamp, within: Duration) -> Result<()> {
        self.until("waiting until all changes were seen", within, |state| {
            let is_dirty = state.dirty.get(projection).is_some_and(|dirty| !dirty.is_empty());
            is_dirty || state.position >= time || state.ended
        })
        .await
    }

    /// Waits until the state of the feed is as it is wanted.
    async fn until(&self, doing: &str, within: Duration, is_so: impl Fn(&State) -> bool) -> Result<()> {
        let wait = async {
            loop {
                let changed = self.buffer.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.buffer.look(&is_so) {
                    return;
                }
                changed.await;
            }
        };
        let late = |_| Error::Deadline { doing: doing.into(), seconds: within.as_secs().max(1) };
        tokio::time::timeout(within, wait).await.map_err(late)
    }

    /// The lag of a projection.
    pub(crate) fn behind(&self, projection: usize) -> FeedLag {
        self.buffer.look(|state| {
            let Some(dirty) = state.dirty.get(projection) else { return FeedLag::default() };
            let seconds = dirty.oldest().map_or(0, |oldest| state.position.time.saturating_sub(oldest.time));
            FeedLag { streams: dirty.len(), seconds }
        })
    }

    /// Whether all these streams of a projection are dirty, as far as the feed knows.
    pub(crate) fn has_all(&self, projection: usize, streams: &[String]) -> bool {
        self.buffer.look(|state| {
            state.dirty.get(projection).is_some_and(|dirty| streams.iter().all(|stream| dirty.has(stream)))
        })
    }

    /// A marker to wait behind: the next fence of a cut-over.
    pub(crate) fn marker(&self) -> Marker {
        Marker(self.buffer.look(|state| state.fenced))
    }

    /// Waits until all changes up to a time were seen, or a marker that was set by that time: changes come
    /// in order, and a marker arrives at once, while the server reports times only now and then.
    ///
    /// # Errors
    /// [`Error::Deadline`] after `within`; the reason the feed ended, if it did.
    pub(crate) async fn reached(
        &self,
        time: Timestamp,
        marker: Option<Marker>,
        within: Duration,
    ) -> Result<()> {
        self.until("waiting until all changes were seen", within, |state| {
            let marked = marker.is_some_and(|Marker(before)| state.fenced > before);
            marked || state.position >= time || state.ended
        })
        .await?;
        match self.buffer.update(|state| (state.failed.take(), state.ended)) {
            (Some(error), _) => Err(error),
            (None, true) => Err(ended()),
            (None, false) => Ok(()),
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
