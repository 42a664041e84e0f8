//! What a clean-up says.

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
    /// Everything that was looked at.
    pub items: Vec<CleanupItem>,
    /// What of a purge would be refused, or was not because it was forced.
    pub refusals: Vec<String>,
    /// What couldn't be found out.
    pub notes: Vec<String>,
}

/// What an item is.
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

/// Something that may go or has to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CleanupItem {
    /// What it is.
    pub kind: CleanupKind,
    /// Name of the projection; empty if it is of no single one.
    pub projection: String,
    /// Id of the build, if it is of one: `Assets3`.
    pub build: Option<String>,
    /// The collection; absent for records of one build.
    pub collection: Option<String>,
    /// Its size on disk with indexes, in bytes; of records the size of the documents. Absent if it can't
    /// be read.
    pub bytes: Option<u64>,
    /// Its documents, by the server's statistics.
    pub documents: Option<u64>,
    /// Whether it may go.
    pub eligible: bool,
    /// Why, or why not.
    pub reason: String,
    /// Outcome of its drop; absent if no drop was tried.
    pub outcome: Option<DropOutcome>,
}

impl CleanupReport {
    pub(crate) fn new(database: &str) -> Self {
        Self { database: database.to_owned(), items: Vec::new(), refusals: Vec::new(), notes: Vec::new() }
    }

    /// Bytes of what may go, as far as they are known.
    #[must_use]
    pub fn eligible_bytes(&self) -> u64 {
        self.items.iter().filter(|item| item.eligible).filter_map(|item| item.bytes).sum()
    }

    /// Bytes of what was dropped, as far as they are known.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        let dropped = self.items.iter().filter(|item| item.is_dropped());
        dropped.filter_map(|item| item.bytes).sum()
    }

    /// What was dropped.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter(|item| item.is_dropped()).map(CleanupItem::name)
    }

    /// A size, or a note that it can't be read; once.
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

    /// The collection, or whose records they are.
    #[must_use]
    pub fn name(&self) -> &str {
        self.collection.as_deref().or(self.build.as_deref()).unwrap_or_default()
    }
}
