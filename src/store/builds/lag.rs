//! A quick count of commits that aren't folded into a generation.
//!
//! Commits with a timestamp after some time are compared with the recorded heads of their streams. The
//! timestamp of a commit is set a little before the commit can be read, and deleted commits leave no trace:
//! the count is a lower bound.

use std::collections::{BTreeMap, HashSet};

use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use statefold_projections::StreamFilter;

use crate::error::Result;
use crate::lifecycle::stream_hash;
use crate::plan::StreamRange;
use crate::store::builds::build::BuildStore;
use crate::store::connection::{call, is_out_of_time, number_of, offset_of};
use crate::store::events::StreamIndex;

/// Maximum number of commits that are compared.
const COMMITS_MAX: i64 = 1000;
/// Time limit for the server to find them.
const LOOK_MS_MAX: i64 = 2000;

/// Commits that aren't folded, among those that were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Unfolded {
    pub(crate) commits: u64,
    pub(crate) events: u64,
    pub(crate) streams: u64,
    /// Time of the oldest one.
    pub(crate) oldest: Option<Timestamp>,
    /// Whether there are commits that weren't compared.
    pub(crate) more: bool,
}

/// A commit that may not be folded.
struct Commit {
    stream: String,
    offset: i64,
    events: u64,
    at: Option<Timestamp>,
}

impl BuildStore {
    /// The commits after a time that aren't folded. `None` if that can't be told quickly: commits without a
    /// timestamp or without an index on it, or heads that aren't recorded.
    pub(crate) async fn unfolded(&self, filter: &StreamFilter, since: Timestamp) -> Result<Option<Unfolded>> {
        let checkpoints = self.checkpoints().await?;
        let events = self.store.events().source(StreamIndex::default(), None, 0);
        let Some(field) = events.timestamp_index().await? else { return Ok(None) };
        if checkpoints.is_empty() || checkpoints.len() != self.record.ranges.len() {
            return Ok(None);
        }
        let mut filtered = events.range(&StreamRange::of(filter));
        filtered.insert(&field, doc! { "$gt": since });
        let found = match self.commits_after(filtered, &field).await {
            Err(error) if is_out_of_time(&error) => return Ok(None),
            other => other?,
        };
        let more = i64::try_from(found.len()).unwrap_or(i64::MAX) >= COMMITS_MAX;
        let mut wanted: BTreeMap<u32, (u32, HashSet<u64>)> = BTreeMap::new();
        let found: Vec<Commit> = found.into_iter().filter(|commit| filter.matches(&commit.stream)).collect();
        let partitions = self.partitions();
        for commit in &found {
            let partition = partitions.iter().find(|partition| partition.range.holds(&commit.stream));
            let Some(number) = partition.map(|partition| partition.number) else { continue };
            let checkpoint = checkpoints.iter().find(|checkpoint| checkpoint.partition == number);
            let bits = checkpoint.map_or(0, |checkpoint| checkpoint.head_bits);
            wanted.entry(number).or_insert((bits, HashSet::new())).1.insert(stream_hash(&commit.stream));
        }
        let wanted: Vec<(u32, u32, Vec<u64>)> = wanted
            .into_iter()
            .map(|(number, (bits, hashes))| (number, bits, hashes.into_iter().collect()))
            .collect();
        let heads = self.heads_of_streams(&wanted, None).await?;
        let is_unfolded = |commit: &&Commit| {
            heads.get(&stream_hash(&commit.stream)).is_none_or(|head| commit.offset > head.offset)
        };
        let mut streams = HashSet::new();
        let mut unfolded = Unfolded { more, ..Unfolded::default() };
        for commit in found.iter().filter(is_unfolded) {
            unfolded.commits += 1;
            unfolded.events += commit.events;
            unfolded.oldest = unfolded.oldest.or(commit.at);
            streams.insert(&commit.stream);
        }
        unfolded.streams = streams.len() as u64;
        Ok(Some(unfolded))
    }

    async fn commits_after(&self, filter: Document, field: &str) -> Result<Vec<Commit>> {
        let layout = self.store.layout.clone();
        let count = layout.count.clone();
        let mut projection = doc! { "_id": 0, field: 1, &layout.stream: 1, &layout.offset: 1 };
        projection.extend(count.iter().map(|count| (count.clone(), 1.into())));
        let command = doc! {
            "find": &layout.collection, "filter": filter, "sort": { field: 1 }, "projection": projection,
            "limit": COMMITS_MAX, "maxTimeMS": LOOK_MS_MAX,
        };
        let db = self.store.db.clone();
        let find = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        let found = call("looking for commits that aren't folded", find).await?;
        let read = |commit: Document| {
            let events = count.as_ref().and_then(|count| commit.get(count)).and_then(number_of);
            Some(Commit {
                stream: commit.get_str(&layout.stream).ok()?.to_owned(),
                offset: offset_of(commit.get(&layout.offset)?)?,
                events: events.and_then(|events| u64::try_from(events).ok()).unwrap_or(1),
                at: commit.get_timestamp(field).ok(),
            })
        };
        Ok(found.into_iter().filter_map(read).collect())
    }
}
