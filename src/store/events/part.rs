//! One part of a scan in natural order. A part by record ids goes on behind the last record that was read
//! when its cursor is gone: after a long pause the server has ended it, and an election may close the
//! connection.

use bson::oid::ObjectId;
use bson::{Document, RawBson, doc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mongodb::options::{RunCommandOptions, RunCursorCommandOptions, SelectionCriteria};
use mongodb::raw_batch_cursor::RawBatchCursor;

use crate::error::{Class, Error, Result};
use crate::pipeline::ports::{Bound, CommitBatch};
use crate::store::connection::{LONG_CALL_SECONDS, call, call_within, divided_in_vain};
use crate::store::events::batch::Batch;
use crate::store::events::late::said_if_late;
use crate::store::events::source::EventStore;

/// Attempts to open a cursor again without a batch in between.
const REOPENINGS: u32 = 5;
/// Time after which a server that doesn't answer is given up.
const REOPEN_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);
/// Pause before the first of them; each further one is longer by as much.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// One part, from after a bound up to and including the next.
pub(super) struct NaturalPart {
    store: EventStore,
    command: Document,
    server: Option<SelectionCriteria>,
    after: Option<Bound>,
    until: Option<(i64, RawBson)>,
    by_record_ids: bool,
}

/// A part that is being read.
struct Reading {
    part: NaturalPart,
    cursor: RawBatchCursor,
    /// The process that the record ids are of; `None` if it doesn't tell.
    process: Option<ObjectId>,
    /// Record up to which it is read.
    read: Option<i64>,
    done: bool,
}

impl NaturalPart {
    pub(super) fn new(store: &EventStore, command: Document, server: Option<SelectionCriteria>) -> Self {
        Self { store: store.clone(), command, server, after: None, until: None, by_record_ids: false }
    }

    /// Between two bounds by record ids; `None` means the beginning or the end.
    pub(super) fn between(mut self, after: Option<Bound>, until: Option<Bound>) -> Self {
        self.until = until.and_then(|until| Some((until.record, RawBson::try_from(until.id).ok()?)));
        self.after = after;
        self.by_record_ids = true;
        self
    }

    pub(super) fn stream(self) -> BoxStream<'static, Result<CommitBatch>> {
        let reading = async move {
            if let Some(bound) = &self.after {
                self.store.check_bound(bound, self.server.clone()).await?;
            }
            let process = if self.by_record_ids { self.process().await? } else { None };
            let cursor = self.store.raw_cursor(self.command.clone(), self.server.clone()).await?;
            let reading = Reading { part: self, cursor, process, read: None, done: false };
            Ok::<_, Error>(futures::stream::try_unfold(reading, Reading::next))
        };
        futures::stream::once(reading).try_flatten().boxed()
    }

    /// Opens the cursor again behind a record, after an error, in a few attempts.
    ///
    /// # Errors
    /// That error, if it lasts, or if another process answers: it may have other record ids.
    async fn reopen(
        &self,
        mut error: Error,
        record: i64,
        process: ObjectId,
        reopenings: &mut u32,
    ) -> Result<RawBatchCursor> {
        let began = std::time::Instant::now();
        // A server that doesn't come back soon is gone: another one has to be read.
        while error.class() == Class::Transient
            && *reopenings < REOPENINGS
            && began.elapsed() <= REOPEN_WITHIN
        {
            *reopenings += 1;
            tokio::time::sleep(PAUSE * *reopenings).await;
            match self.reopened(record, process).await {
                Ok(Some(cursor)) => {
                    tracing::info!(
                        error = %error.with_sources(), record, "going on behind the last record that was read"
                    );
                    return Ok(cursor);
                }
                Ok(None) => return Err(error),
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    /// Opens the cursor again behind a record; `None` if another process answers, or none in time.
    async fn reopened(&self, record: i64, process: ObjectId) -> Result<Option<RawBatchCursor>> {
        let now = tokio::time::timeout(REOPEN_WITHIN, self.process()).await.unwrap_or(Ok(None));
        if now? != Some(process) {
            return Ok(None);
        }
        let mut command = self.command.clone();
        command.insert("$_resumeAfter", doc! { "$recordId": record });
        self.store.raw_cursor(command, self.server.clone()).await.map(Some)
    }

    /// Identity of the server process that the cursor is opened on.
    async fn process(&self) -> Result<Option<ObjectId>> {
        let (db, options) = (self.store.db.clone(), RunCommandOptions::builder());
        let options = options.selection_criteria(self.server.clone()).build();
        let hello = async move { db.run_command(doc! { "hello": 1 }).with_options(options).await };
        let reply = call("asking which server answers", hello).await?;
        let version = reply.get_document("topologyVersion").ok();
        Ok(version.and_then(|version| version.get_object_id("processId").ok()))
    }
}

impl Reading {
    /// The next batch, with what is needed for the one after it.
    async fn next(mut self) -> Result<Option<(CommitBatch, Self)>> {
        let mut reopenings = 0;
        while !self.done {
            let Self { part, cursor, process, read, done } = self;
            let mut cursor = cursor;
            let next = async move { Ok((cursor.try_next().await?, cursor)) };
            let next = call_within(LONG_CALL_SECONDS, "reading the event store", next).await;
            match next.map_err(divided_in_vain) {
                Ok((None, _)) => return Ok(None),
                Ok((Some(batch), cursor)) => {
                    let mut batch = Batch::new(batch);
                    let read = batch.read_up_to().or(read);
                    let done = part.until.as_ref().is_some_and(|(record, id)| batch.cut_behind(*record, id));
                    return Ok(Some((Box::new(batch), Self { part, cursor, process, read, done })));
                }
                Err(error) => {
                    let (Some(record), Some(process)) = (read, process) else { return Err(error) };
                    let cursor = part.reopen(error, record, process, &mut reopenings).await?;
                    self = Self { part, cursor, process: Some(process), read, done };
                }
            }
        }
        Ok(None)
    }
}

impl EventStore {
    /// Checks that the record id of a bound still is that of its document: another server has other record
    /// ids, and so has the same one after a resync.
    pub(super) async fn check_bound(&self, bound: &Bound, server: Option<SelectionCriteria>) -> Result<()> {
        let find = doc! {
            "find": &self.layout.collection, "filter": { "_id": bound.id.clone() },
            "projection": { "_id": 1 },
            "showRecordId": true, "limit": 1, "singleBatch": true,
        };
        let found = self.documents("looking a record id up", find, server).await?;
        match found.first().and_then(|commit| commit.get_i64("$recordId").ok()) {
            Some(record) if record == bound.record => Ok(()),
            _ => Err(Error::Server {
                doing: "reading the event store".into(),
                code: None,
                transient: true,
                source: "the server's record ids are not those the event store was divided by".into(),
            }),
        }
    }

    /// Opens a cursor in natural order, within the long deadline: the server reads until a batch is full,
    /// which takes long if few of the commits match. A server that is gone is noticed by TCP keep-alive.
    async fn raw_cursor(
        &self,
        command: Document,
        server: Option<SelectionCriteria>,
    ) -> Result<RawBatchCursor> {
        let options = RunCursorCommandOptions::builder()
            .batch_size(self.batch_commits)
            .selection_criteria(server)
            .build();
        let db = self.db.clone();
        let open = async move { db.run_cursor_command(command).with_options(options).batch().await };
        let opened = call_within(LONG_CALL_SECONDS, "reading the event store", open);
        let opened = said_if_late(self.from.is_some(), opened).await;
        opened.map_err(divided_in_vain)
    }
}
