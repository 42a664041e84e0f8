//! Verdict of a comparison.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::verify::comparison::{ComparisonOutcome, Subject};
use crate::engine::verify::proven::Proven;
use crate::fold::FieldDifference;
use crate::lifecycle::Share;

/// Number of differences that are shown.
const SHOWN: usize = 20;

/// Result of verifying one projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Name of the projection.
    pub projection: String,
    /// Number of the active generation, if that was verified.
    pub generation: Option<u32>,
    /// The verified collections.
    pub collections: Vec<String>,
    /// Share of the streams that was compared.
    pub share: Share,
    /// If it was proven instead, by its digest and its heads: the number of streams that were folded once
    /// more.
    pub proven_by: Option<u64>,
    /// Number of streams folded.
    pub streams: u64,
    /// Number of events folded.
    pub events: u64,
    /// Number of snapshots in the collections.
    pub snapshots: u64,
    /// Streams that could not be folded: what should be stored of them is not known.
    pub failed_streams: u64,
    /// Snapshots that the events give, but that aren't stored.
    pub missing: u64,
    /// Snapshots that are stored, but that the events don't give.
    pub extra: u64,
    /// Snapshots that differ.
    pub differing: u64,
    /// Snapshots that differ only in what they say of other projections, which the application refreshes
    /// later: they aren't wrong.
    pub stale: u64,
    /// The first of them.
    pub stale_differences: Vec<Difference>,
    /// Documents whose `_id` isn't a text: no stream gives them.
    pub foreign: u64,
    /// Streams that may differ, but were not rechecked because too many others differ.
    pub suspected: u64,
    /// Streams that changed during each recheck: they could not be compared.
    pub moving: u64,
    /// Names of the first of them.
    pub moving_streams: Vec<String>,
    /// The fields that differ, each with the number of snapshots in which it does; the most frequent first.
    pub fields: Vec<FieldCount>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// Digest of all snapshots; absent if only a share was compared, if some snapshots changed meanwhile, or
    /// if there are documents that can't be compared.
    pub digest: Option<String>,
}

impl Verified {
    /// Whether everything that was to be compared is equal.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        !self.differs() && self.moving == 0 && self.stale == 0
    }

    /// Whether something differs that isn't only stale.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.differences_found() > 0
    }

    /// Number of snapshots that differ, stale ones left out.
    pub(crate) fn differences_found(&self) -> u64 {
        self.missing + self.extra + self.differing + self.foreign + self.suspected
    }

    /// A generation that is proven.
    pub(crate) fn proven(subject: &Subject, proven: &Proven) -> Self {
        let Proven { counts, digest, sampled } = proven;
        Self {
            projection: subject.projection.spec().name().to_owned(),
            generation: None,
            collections: subject.collections.clone(),
            share: Share::ALL,
            proven_by: Some(*sampled),
            streams: counts.streams,
            events: counts.events,
            snapshots: digest.documents(),
            failed_streams: counts.failed_streams,
            missing: 0,
            extra: 0,
            differing: 0,
            stale: 0,
            stale_differences: Vec::new(),
            foreign: 0,
            suspected: 0,
            moving: 0,
            moving_streams: Vec::new(),
            fields: Vec::new(),
            differences: Vec::new(),
            digest: Some(digest.to_string()),
        }
    }

    pub(crate) fn of(subject: &Subject, share: Share, outcome: &ComparisonOutcome, recheck: Recheck) -> Self {
        let count =
            |kind| recheck.differences.iter().filter(|difference| difference.kind == kind).count() as u64;
        let suspects = outcome.suspects.streams.len() as u64 + outcome.suspects.more;
        let undisturbed = share.is_all() && suspects == 0 && outcome.foreign == 0;
        Self {
            projection: subject.projection.spec().name().to_owned(),
            generation: None,
            collections: subject.collections.clone(),
            share,
            proven_by: None,
            streams: outcome.counts.streams,
            events: outcome.counts.events,
            snapshots: outcome.stored,
            failed_streams: outcome.failed_streams.len() as u64,
            missing: count(Kind::Missing),
            extra: count(Kind::Extra),
            differing: count(Kind::Differing),
            stale: recheck.stale.found.len() as u64,
            stale_differences: recheck.stale.first,
            foreign: outcome.foreign,
            suspected: recheck.left + outcome.suspects.more,
            moving: recheck.moving.len() as u64,
            moving_streams: recheck.moving.iter().take(SHOWN).cloned().collect(),
            digest: undisturbed.then(|| outcome.found.to_string()),
            fields: by_field(&recheck.differences),
            differences: recheck.differences.into_iter().take(SHOWN).collect(),
        }
    }
}

/// A field, and in how many snapshots it differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldCount {
    /// Its path; a place in an array is a star: `ts.*`.
    pub path: String,
    /// Number of snapshots.
    pub snapshots: u64,
}

/// Counts the snapshots by the fields that differ in them.
fn by_field(differences: &[Difference]) -> Vec<FieldCount> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for difference in differences {
        let paths: BTreeSet<String> = difference.fields.iter().map(|field| anywhere(&field.path)).collect();
        for path in paths {
            *counts.entry(path).or_default() += 1;
        }
    }
    let mut fields: Vec<FieldCount> =
        counts.into_iter().map(|(path, snapshots)| FieldCount { path, snapshots }).collect();
    fields.sort_by_key(|field| std::cmp::Reverse(field.snapshots));
    fields
}

/// A path without the places in arrays.
fn anywhere(path: &str) -> String {
    let is_place = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    path.split('.').map(|part| if is_place(part) { "*" } else { part }).collect::<Vec<_>>().join(".")
}

/// A snapshot that differs from what its events give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its stream.
    pub stream: String,
    /// The collection.
    pub collection: String,
    /// Its `_id`.
    pub id: String,
    /// How it differs.
    pub kind: Kind,
    /// The first fields that differ; none if only their order does.
    pub fields: Vec<FieldDifference>,
}

/// How a snapshot differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The events give a snapshot, but none is stored.
    Missing,
    /// A snapshot is stored that the events don't give.
    Extra,
    /// The stored snapshot is another than the events give.
    Differing,
    /// It differs in [derived](statefold_projections::Spec::derived) fields alone.
    Stale,
}

/// Result of rechecking streams.
#[derive(Debug, Default)]
pub(crate) struct Recheck {
    /// Differences that are certain.
    pub(crate) differences: Vec<Difference>,
    /// Snapshots that are stale.
    pub(crate) stale: Stale,
    /// Streams that changed while they were rechecked.
    pub(crate) moving: Vec<String>,
    /// Number of streams that were not rechecked any more.
    pub(crate) left: u64,
}

/// Snapshots that are stale, each once: hashes of their collections and ids, and the first of them.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    found: HashSet<u64>,
    first: Vec<Difference>,
}

impl Stale {
    pub(crate) fn push(&mut self, difference: Difference) {
        let name = format!("{} {}", difference.collection, difference.id);
        if self.found.insert(xxh3_64(name.as_bytes())) && self.first.len() < SHOWN {
            self.first.push(difference);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        other.first.into_iter().for_each(|difference| self.push(difference));
        self.found.extend(other.found);
    }
}

impl Recheck {
    /// Names of the streams to recheck in another round, sorted.
    pub(crate) fn streams(&self) -> Vec<String> {
        let differing = self.differences.iter().map(|difference| difference.stream.clone());
        let mut names: Vec<String> = differing.chain(self.moving.iter().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
