//! The change stream of the event store: which streams were changed since a time.
//!
//! A delete doesn't name its stream, unless the application has switched pre-images on for its event store;
//! after one that doesn't, only a comparison of heads finds the stream. When the server's history no longer
//! reaches back to the position of the feed (286, 136), the feed restarts at the present time, and any
//! stream may have changed.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, Timestamp, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::options::{FullDocumentBeforeChangeType, FullDocumentType};
use statefold_projections::StreamFilter;
use tokio_util::sync::CancellationToken;

use crate::error::{Class, Error, Result};
use crate::lifecycle::{AFTER, BEFORE, Change, ChangeOf, Unnamed};
use crate::store::connection::{Events, HISTORY_LOST, Store, call, classify, code, time_of};
use crate::store::control::raises_cut_over;
use crate::store::events::change_buffer::ChangeBuffer;

/// Pause before the change stream is reopened after a failure.
const REOPEN: Duration = Duration::from_millis(250);

/// Reads the change stream into a [`ChangeBuffer`], on a task of its own.
pub(in crate::store) struct ChangeReader {
    pub(in crate::store) store: Store,
    pub(in crate::store) filters: Vec<StreamFilter>,
    pub(in crate::store) buffer: Arc<ChangeBuffer>,
    /// Time the server waits for a change before it replies that there is none, and how far it has looked.
    pub(in crate::store) patience: Duration,
}

impl Events<'_> {
    async fn open_changes(self, start: Start, patience: Duration) -> Result<ChangeStream<Document>> {
        let events = self.store.collection(&self.store.layout.collection);
        let stream = &self.store.layout.stream;
        let shown = doc! {
            "operationType": 1, "clusterTime": 1, "operationDescription.validator": 1,
            format!("{AFTER}.{stream}"): 1, format!("{BEFORE}.{stream}"): 1,
        };
        let pipeline = [doc! { "$project": shown }];
        let expanded = self.store.facts.has_expanded_events().then_some(true);
        let open = async move {
            let watch = events.watch().pipeline(pipeline).max_await_time(patience);
            // An update in place is shown without the document, unless that is asked for.
            let watch = watch.full_document(FullDocumentType::UpdateLookup);
            let watch = match expanded {
                Some(expanded) => watch
                    .show_expanded_events(expanded)
                    .full_document_before_change(FullDocumentBeforeChangeType::WhenAvailable),
                None => watch,
            };
            let watch = match start {
                Start::At(time) => watch.start_at_operation_time(time),
                Start::After(token) => watch.resume_after(token),
            };
            Ok(watch.await?.with_type::<Document>())
        };
        call("following the event store", open).await
    }
}

enum Start {
    At(Timestamp),
    After(ResumeToken),
}

fn is_history_lost(error: &Error) -> bool {
    matches!(error, Error::Server { code: Some(code), .. } if HISTORY_LOST.contains(code))
}

impl ChangeReader {
    /// Opens the change stream at the present time; earlier changes have to be found by comparing heads.
    async fn restart(&self) -> Result<ChangeStream<Document>> {
        tracing::warn!("the server's history doesn't reach back far enough: comparing all heads instead");
        let now = self.store.operation_time().await?;
        let now = now.ok_or_else(|| Error::Unsupported("this server has no change streams".into()))?;
        let changes = self.store.events().open_changes(Start::At(now), self.patience).await?;
        self.buffer.update(|state| {
            state.dirty.iter_mut().for_each(|dirty| dirty.mark_unnamed(Unnamed::Unknown));
            state.position = state.position.max(now);
        });
        Ok(changes)
    }

    /// Opens the change stream once `begin` is cancelled, and follows it until `stop` is.
    pub(in crate::store) async fn run(
        self,
        since: Timestamp,
        begin: CancellationToken,
        stop: CancellationToken,
    ) {
        tokio::select! {
            () = begin.cancelled() => {}
            () = stop.cancelled() => return,
        }
        let opened = match self.store.events().open_changes(Start::At(since), self.patience).await {
            Err(error) if is_history_lost(&error) => self.restart().await,
            other => other,
        };
        match opened {
            Ok(changes) => self.follow(changes, stop).await,
            Err(error) => self.buffer.fail(error),
        }
    }

    async fn follow(self, mut changes: ChangeStream<Document>, stop: CancellationToken) {
        // The stream has ended after a change of the collection as a whole.
        while !stop.is_cancelled() && !self.buffer.look(|state| state.ended) {
            match changes.next_if_any().await {
                Ok(Some(change)) => self.take_in(&change),
                Ok(None) => {
                    let position = changes.resume_token().as_ref().and_then(time_of);
                    if let Some(position) = position {
                        self.buffer.update(|state| state.position = state.position.max(position));
                    }
                }
                Err(error) => {
                    let lost = code(&error).is_some_and(|code| HISTORY_LOST.contains(&code));
                    let error = classify("following the event store", error);
                    tracing::debug!(error = %error.with_sources(), "the change stream is reopened");
                    // Reopened after any error: one that lasts comes back from the reopening.
                    let at = changes.resume_token();
                    match self.reopen(at, lost, &stop).await {
                        Ok(Some(reopened)) => changes = reopened,
                        Ok(None) => return,
                        Err(error) => return self.buffer.fail(error),
                    }
                }
            }
        }
    }

    async fn reopen(
        &self,
        at: Option<ResumeToken>,
        lost: bool,
        stop: &CancellationToken,
    ) -> Result<Option<ChangeStream<Document>>> {
        let mut lost = lost;
        while !stop.is_cancelled() {
            tokio::time::sleep(REOPEN).await;
            let opened = match &at {
                Some(token) if !lost => {
                    self.store.events().open_changes(Start::After(token.clone()), self.patience).await
                }
                _ => self.restart().await,
            };
            match opened {
                Ok(changes) => return Ok(Some(changes)),
                Err(error) if is_history_lost(&error) => lost = true,
                Err(error) if error.class() == Class::Transient => {
                    let error = error.with_sources();
                    tracing::warn!(error, "the event store can't be followed; trying again");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn take_in(&self, change: &Document) {
        let read = Change::read(change, &self.store.layout.stream);
        self.buffer.update(|state| {
            let position = read.at.unwrap_or(state.position);
            for (filter, dirty) in self.filters.iter().zip(&mut state.dirty) {
                read.mark(filter, dirty, position);
            }
            match read.of {
                ChangeOf::Commit { .. } | ChangeOf::Nothing => {}
                // No other change of the options is a marker, for example that of read-only mode.
                ChangeOf::Options => state.fenced += u64::from(raises_cut_over(change)),
                ChangeOf::Whole(kind) => {
                    let what =
                        format!("the event store was changed as a whole ({kind}) while it was followed");
                    state.failed = Some(Error::Mismatch(what));
                    state.ended = true;
                }
            }
            state.position = state.position.max(position);
        });
    }
}
