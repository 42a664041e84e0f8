//! The report of a clean-up.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::lifecycle::Droppable;
use crate::store::{DropOutcome, Size};

/// Result of a clean-up or a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CleanupReport {
    /// Name of the database.
    pub database: String,
    /// All collections and records that were looked at.
    pub items: Vec<CleanupItem>,
    /// Reasons to refuse a purge; a forced purge goes ahead in spite of them.
    pub refusals: Vec<String>,
    /// Notes on what couldn't be read.
    pub notes: Vec<String>,
}

/// Kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleanupKind {
    /// A collection of a generation.
    Generation,
    /// A staging collection.
    Staging,
    /// Checkpoints, heads and failed streams of a build; in a purge a collection of records.
    Records,
    /// A collection that statefold didn't build.
    Foreign,
    /// A view that readers find the active generation by, in a purge.
    View,
    /// The control document, in a purge.
    Control,
}

/// A collection, or the records of a build, that may be dropped or has to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CleanupItem {
    /// Kind of the item.
    pub kind: CleanupKind,
    /// Name of the projection; empty if the item doesn't belong to a single one.
    pub projection: String,
    /// Id of the build that it belongs to, if any: `Assets3`.
    pub build: Option<String>,
    /// The collection; absent for records of one build.
    pub collection: Option<String>,
    /// Its size on disk with indexes, in bytes; of records the size of the documents. Absent if it can't
    /// be read.
    pub bytes: Option<u64>,
    /// Its documents, by the server's statistics.
    pub documents: Option<u64>,
    /// Whether it may be dropped.
    pub eligible: bool,
    /// Whether readers use it: a purge drops it all the same.
    pub active: bool,
    /// The collection that has to be named in full before this may be dropped, if that is what keeps it.
    pub unless_named: Option<String>,
    /// Why it may be dropped, or why not.
    pub reason: String,
    /// Outcome of its drop; absent if no drop was tried.
    pub outcome: Option<DropOutcome>,
}

impl CleanupReport {
    pub(crate) fn new(database: &str) -> Self {
        Self { database: database.to_owned(), items: Vec::new(), refusals: Vec::new(), notes: Vec::new() }
    }

    /// Total size of the eligible items, as far as it is known.
    #[must_use]
    pub fn eligible_bytes(&self) -> u64 {
        self.items.iter().filter(|item| item.eligible).filter_map(|item| item.bytes).sum()
    }

    /// Total size of the dropped items, as far as it is known.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        let dropped = self.items.iter().filter(|item| item.is_dropped());
        dropped.filter_map(|item| item.bytes).sum()
    }

    /// Names of the dropped items.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter(|item| item.is_dropped()).map(CleanupItem::name)
    }

    /// Passes a size on, or notes, once, that sizes can't be read.
    pub(crate) fn note_size(&mut self, size: Result<Size>) -> Option<Size> {
        let error = match size {
            Ok(size) => return Some(size),
            Err(error) => error,
        };
        let reason = match &error {
            Error::Permission { .. } => "this user may not run collStats".to_owned(),
            error => error.with_sources(),
        };
        let note = format!("sizes can't be read: {reason}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        None
    }
}

impl CleanupItem {
    pub(crate) fn new(kind: CleanupKind, projection: &str, size: Option<Size>, verdict: &Droppable) -> Self {
        Self {
            kind,
            projection: projection.to_owned(),
            build: None,
            collection: None,
            bytes: size.map(|size| size.bytes),
            documents: size.map(|size| size.documents),
            eligible: verdict.is_yes(),
            active: matches!(verdict, Droppable::Active(_)),
            unless_named: match verdict {
                Droppable::UnlessNamed { name, .. } => Some(name.clone()),
                _ => None,
            },
            reason: verdict.reason().to_owned(),
            outcome: None,
        }
    }

    pub(crate) fn done(&mut self, outcome: DropOutcome) {
        self.outcome = Some(outcome);
    }

    fn is_dropped(&self) -> bool {
        self.outcome == Some(DropOutcome::Dropped)
    }

    /// Name of the collection, or the id of the build whose records these are.
    #[must_use]
    pub fn name(&self) -> &str {
        self.collection.as_deref().or(self.build.as_deref()).unwrap_or_default()
    }
}
