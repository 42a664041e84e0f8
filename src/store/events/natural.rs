//! Scans of the event store in natural order: divided by record ids, by timestamps, or not at all.
//!
//! Record ids belong to one server: bounds found on one mean nothing on another. All cursors of a
//! scan therefore go to the server that gave the bounds, and each bound is looked up again before it is
//! used. Source of the options: the server's own `find` command (`$_requestResumeToken`,
//! `$_resumeAfter`), which change streams and dumps resume with.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mongodb::options::{ReadPreference, RunCursorCommandOptions, SelectionCriteria, ServerAddress};

use crate::error::{Error, Result};
use crate::pipeline::ports::{Bound, CommitBatch, NaturalScan, Part};
use crate::plan::{NaturalBy, StreamRange};
use crate::store::connection::{LONG_CALL_SECONDS, call, call_within};
use crate::store::events::late::said_if_late;
use crate::store::events::part::NaturalPart;
use crate::store::events::source::{EventStore, simple};

const PARTS_MAX: u64 = 1024;
/// Samples for each bound.
const SAMPLES_PER_PART: u64 = 16;
/// Maximum number of samples: all come in one reply.
const SAMPLES_MAX: i64 = 20_000;

impl EventStore {
    /// A scan over the commits of these streams, in parts.
    pub(in crate::store) async fn natural_scan(&self, ranges: &[StreamRange]) -> Result<NaturalScan> {
        let count = self.estimated_count().await?;
        let parts = (count / self.part_commits.max(1)).clamp(1, PARTS_MAX);
        let server = self.server().await?;
        if parts > 1 && self.natural_by != Some(NaturalBy::OneCursor) {
            // Record ids belong to one server, which a router doesn't let one choose.
            if self.natural_by != Some(NaturalBy::Timestamps) && !self.routed {
                match self.record_bounds(ranges, parts, &server).await {
                    Ok(bounds) if !bounds.is_empty() => return Ok(self.by_record_ids(ranges, bounds, server)),
                    Ok(_) => {}
                    // Some servers with this protocol have no record ids.
                    Err(Error::Server { transient: false, source, .. }) => {
                        tracing::info!(%source, "the event store can't be divided by record ids");
                    }
                    Err(error) => return Err(error),
                }
            }
            if self.natural_by != Some(NaturalBy::RecordIds)
                && let Some(field) = self.timestamp_index().await?
            {
                return self.by_timestamps(ranges, &field, parts, &server).await;
            }
        }
        let command = self.natural_command(ranges, None);
        let part = NaturalPart::new(self, command, server).stream();
        Ok(NaturalScan { by: NaturalBy::OneCursor, parts: VecDeque::from([part]) })
    }

    /// Filter for the commits of these streams.
    pub(in crate::store) fn natural_filter(&self, ranges: &[StreamRange]) -> Document {
        // Adjacent ranges are joined: one range is quicker to check than many.
        let mut joined: Vec<StreamRange> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end.as_ref() == Some(&range.first) => last.end.clone_from(&range.end),
                _ => joined.push(range.clone()),
            }
        }
        let mut filters: Vec<Document> = joined.iter().map(|range| self.range(range)).collect();
        if filters.len() == 1 {
            filters.pop().unwrap_or_default()
        } else {
            doc! { "$or": filters }
        }
    }

    pub(super) fn natural_command(&self, ranges: &[StreamRange], after: Option<&Bound>) -> Document {
        let mut command = doc! {
            "find": &self.layout.collection, "filter": self.natural_filter(ranges), "hint": { "$natural": 1 },
            "batchSize": i64::from(self.batch_commits), "readConcern": self.read_concern(),
            "collation": simple(),
        };
        if let Some(bound) = after {
            command.insert("$_resumeAfter", doc! { "$recordId": bound.record });
        }
        command
    }

    /// The command of [`Self::natural_command`], with replies that tell their record id.
    fn record_command(&self, ranges: &[StreamRange], after: Option<&Bound>) -> Document {
        let mut command = self.natural_command(ranges, after);
        command.insert("$_requestResumeToken", true);
        command
    }

    /// Documents that divide the store into about equal parts, by their record ids.
    async fn record_bounds(
        &self,
        ranges: &[StreamRange],
        parts: u64,
        server: &Option<SelectionCriteria>,
    ) -> Result<Vec<Bound>> {
        let sample = doc! {
            "aggregate": &self.layout.collection, "cursor": { "batchSize": SAMPLES_MAX },
            "pipeline": [
                { "$sample": { "size": i64::try_from(parts * SAMPLES_PER_PART).unwrap_or(i64::MAX) } },
                { "$project": { "_id": 1 } },
            ],
        };
        let ids = self.documents("sampling the event store", sample, server.clone()).await?;
        let ids: Vec<Bson> = ids.into_iter().filter_map(|mut one| one.remove("_id")).collect();
        // Only commits that the scan shows can end a part.
        let mut filter = self.natural_filter(ranges);
        filter.insert("_id", doc! { "$in": ids });
        let find = doc! {
            "find": &self.layout.collection, "filter": filter, "projection": { "_id": 1 },
            "showRecordId": true, "batchSize": SAMPLES_MAX, "readConcern": self.read_concern(),
        };
        let found = self.documents("looking record ids up", find, server.clone()).await?;
        let mut bounds: Vec<Bound> = found
            .into_iter()
            .filter_map(|mut one| {
                Some(Bound { record: one.get_i64("$recordId").ok()?, id: one.remove("_id")? })
            })
            .collect();
        bounds.sort_unstable_by_key(|bound| bound.record);
        let bounds = evenly(&bounds, usize::try_from(parts).unwrap_or(usize::MAX));
        if let Some(first) = bounds.first() {
            // A server or proxy that refuses the options does so here.
            let mut probe = self.record_command(ranges, Some(first));
            probe.insert("limit", 1);
            // Without a filter, because the next commit of these streams may be far away.
            probe.insert("filter", Document::new());
            self.documents("trying record ids", probe, server.clone()).await?;
        }
        Ok(bounds)
    }

    fn by_record_ids(
        &self,
        ranges: &[StreamRange],
        bounds: Vec<Bound>,
        server: Option<SelectionCriteria>,
    ) -> NaturalScan {
        let parts = stretches(&bounds).map(|bounds| self.between(ranges, bounds, server.clone()));
        NaturalScan { by: NaturalBy::RecordIds, parts: parts.collect() }
    }

    /// The commits between two bounds.
    fn between(
        &self,
        ranges: &[StreamRange],
        (after, until): (Option<Bound>, Option<Bound>),
        server: Option<SelectionCriteria>,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        let command = self.record_command(ranges, after.as_ref());
        NaturalPart::new(self, command, server).between(after, until).stream()
    }

    /// Divides the natural order of one member into parts that several processes read, at least so many where
    /// there are enough commits. `None` where it can't be divided.
    pub(crate) async fn divide(&self, ranges: &[StreamRange], at_least: u32) -> Result<Option<Vec<Part>>> {
        if self.routed || self.natural_by.is_some_and(|by| by != NaturalBy::RecordIds) {
            return Ok(None);
        }
        let count = self.estimated_count().await?;
        let parts = (count / self.part_commits.max(1)).max(at_least.into()).clamp(1, PARTS_MAX);
        let member = self.member().await?;
        let bounds = match self.record_bounds(ranges, parts, &self.only(member.as_deref())).await {
            Ok(bounds) => bounds,
            // Some servers with this protocol have no record ids.
            Err(Error::Server { transient: false, source, .. }) => {
                tracing::info!(%source, "the event store can't be divided by record ids");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let parts = (0..).zip(stretches(&bounds));
        let parts =
            parts.map(|(number, (after, until))| Part { number, member: member.clone(), after, until });
        Ok(Some(parts.collect()))
    }

    /// The commits of one part, from the member whose record ids it has.
    pub(in crate::store) fn read_part(
        &self,
        ranges: &[StreamRange],
        part: &Part,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        let (store, member) = (self.clone(), part.member.clone());
        let server = self.only(member.as_deref());
        let commits = self.between(ranges, (part.after.clone(), part.until.clone()), server.clone());
        // The parts before and behind are read by other processes: both bounds still have to be where they
        // were, the last one also when all is read.
        let (until, last) = (part.until.clone(), part.until.clone().or(part.after.clone()));
        let (at_end, from) = (self.clone(), server.clone());
        let opened = async move {
            // A connection to one server alone goes there, whichever it is.
            let other = if store.direct { store.member().await? } else { member.clone() };
            if other != member {
                return Err(Error::Unsupported(format!(
                    "the parts of the event store are those of {}, and this program is connected to {} \
                     directly: connect to the replica set",
                    member.as_deref().unwrap_or("another server"),
                    other.as_deref().unwrap_or("another server")
                )));
            }
            if let Some(until) = &until {
                store.check_bound(until, server).await?;
            }
            Ok(commits)
        };
        let closed = async move {
            match &last {
                Some(bound) => at_end.check_bound(bound, from).await.map(|()| None),
                None => Ok(None),
            }
        };
        let read = futures::stream::once(opened).try_flatten().map_ok(Some);
        read.chain(futures::stream::once(closed)).try_filter_map(futures::future::ok).boxed()
    }

    /// The field of the timestamp, if an index begins with it.
    pub(in crate::store) async fn timestamp_index(&self) -> Result<Option<String>> {
        let Some(field) = self.layout.timestamp.clone() else { return Ok(None) };
        let command = doc! { "listIndexes": &self.layout.collection, "cursor": {} };
        let indexes = self.documents("listing the event store's indexes", command, None).await?;
        let begins = |index: &Document| {
            index.get_document("key").is_ok_and(|key| key.keys().next() == Some(&field))
                && !index.contains_key("partialFilterExpression")
                && !index.contains_key("collation")
                && !index.get_bool("sparse").unwrap_or(false)
        };
        Ok(indexes.iter().any(begins).then_some(field))
    }

    async fn by_timestamps(
        &self,
        ranges: &[StreamRange],
        field: &str,
        parts: u64,
        server: &Option<SelectionCriteria>,
    ) -> Result<NaturalScan> {
        let sample = doc! {
            "aggregate": &self.layout.collection, "cursor": { "batchSize": SAMPLES_MAX },
            "pipeline": [
                { "$sample": { "size": i64::try_from(parts * SAMPLES_PER_PART).unwrap_or(i64::MAX) } },
                { "$project": { "_id": 0, "t": format!("${field}") } },
            ],
        };
        let found = self.documents("sampling the event store", sample, server.clone()).await?;
        let mut times: Vec<bson::Timestamp> =
            found.iter().filter_map(|commit| commit.get_timestamp("t").ok()).collect();
        times.sort_unstable();
        let mut bounds = evenly(&times, usize::try_from(parts).unwrap_or(usize::MAX));
        bounds.dedup();
        let part = |(start, end): (Option<bson::Timestamp>, Option<bson::Timestamp>)| {
            let mut filter = self.natural_filter(ranges);
            match (start, end) {
                (None, None) => {}
                // Includes commits without a timestamp, or with a value of another type.
                (None, Some(end)) => _ = filter.insert(field, doc! { "$not": { "$gte": end } }),
                (Some(start), None) => _ = filter.insert(field, doc! { "$gte": start }),
                (Some(start), Some(end)) => _ = filter.insert(field, doc! { "$gte": start, "$lt": end }),
            }
            let command = doc! {
                "find": &self.layout.collection, "filter": filter, "sort": { field: 1 },
                "batchSize": i64::from(self.batch_commits), "readConcern": self.read_concern(),
                "collation": simple(),
            };
            NaturalPart::new(self, command, server.clone()).stream()
        };
        Ok(NaturalScan { by: NaturalBy::Timestamps, parts: stretches(&bounds).map(part).collect() })
    }

    /// One member to read from, so that all commands of a scan go to it: the present primary, unless others
    /// are preferred. `None` if there is only one server.
    async fn server(&self) -> Result<Option<SelectionCriteria>> {
        let member = if self.direct { None } else { self.member().await? };
        Ok(self.only(member.as_deref()))
    }

    /// The name of the member that is read from, as the members know it; `None` where there is only one
    /// server.
    async fn member(&self) -> Result<Option<String>> {
        let db = self.db.clone();
        let from = self.from.clone().unwrap_or(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let ask = async move { db.run_command(doc! { "hello": 1 }).selection_criteria(from).await };
        let hello = call("asking for a member to read from", ask).await;
        Ok(hello?.get_str("me").ok().map(str::to_owned))
    }

    /// Selects the member of this name. The only server may be connected to by another name than its own.
    fn only(&self, member: Option<&str>) -> Option<SelectionCriteria> {
        // Parsed as the driver parses names of members: it keeps them in lower case.
        let member = member.filter(|_| !self.direct).and_then(|member| ServerAddress::parse(member).ok())?;
        Some(SelectionCriteria::Predicate(Arc::new(move |server| *server.address() == member)))
    }

    /// All documents of a short cursor.
    pub(in crate::store) async fn documents(
        &self,
        doing: &str,
        command: Document,
        server: Option<SelectionCriteria>,
    ) -> Result<Vec<Document>> {
        let db = self.db.clone();
        let options = RunCursorCommandOptions::builder().selection_criteria(server).build();
        let run = async move {
            db.run_cursor_command(command).with_options(options).await?.try_collect::<Vec<Document>>().await
        };
        if self.from.is_none() {
            return call(doing, run).await;
        }
        // A secondary that is behind answers when it has what was acknowledged.
        said_if_late(true, call_within(LONG_CALL_SECONDS, doing, run)).await
    }
}

/// What these bounds divide: from the beginning to the first, from each to the next, and from the last to
/// the end.
fn stretches<T: Clone>(bounds: &[T]) -> impl Iterator<Item = (Option<T>, Option<T>)> {
    let starts = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    starts.zip(bounds.iter().cloned().map(Some).chain(std::iter::once(None)))
}

/// The items that divide a sorted list into so many parts of about the same length.
fn evenly<T: Clone>(sorted: &[T], parts: usize) -> Vec<T> {
    // A part needs an item to begin behind.
    let parts = parts.min(sorted.len());
    (1..parts).filter_map(|part| sorted.get(sorted.len() * part / parts)).cloned().collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::evenly;

    #[test]
    fn parts_differ_by_one_item_at_most() {
        let items: Vec<usize> = (0..175).collect();
        let bounds = evenly(&items, 40);
        assert_eq!(bounds.len(), 39);
        let lengths: Vec<usize> = bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(lengths.iter().all(|length| (4..=5).contains(length)), "{lengths:?}");
        assert!(evenly(&items, 1).is_empty() && evenly::<usize>(&[], 5).is_empty());
        assert_eq!(evenly(&[7, 8], 5), [8]);
    }
}
