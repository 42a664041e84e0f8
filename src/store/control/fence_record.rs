//! The record of a fence: reason, owner, time, and the former options of the event store.
//!
//! The record is part of the validator: `{$expr: {$and: [false, {$literal: {Statefold: …, Reason, …}}]}}`.
//! So it is copied with the collection's options, and comes back with each refused insert.

use std::fmt;

use bson::{Bson, Document};
use serde::Serialize;

use crate::error::Error;
use crate::store::control::holder::describe_time;

/// Field that marks a validator of ours; its value is the kind of the fence.
pub(in crate::store) const MARK: &str = "Statefold";

/// A fence of ours around the event store: inserts are refused (error 121).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fence {
    /// Its purpose.
    pub kind: FenceKind,
    /// The reason, in words.
    pub reason: String,
    /// The process that raised it, with its host.
    pub owner: String,
    /// When it was raised, in RFC 3339, by the clock of its owner.
    pub since: Option<String>,
    /// The token that it was raised under.
    pub token: i64,
    /// When it was raised, in milliseconds since 1970.
    #[serde(skip)]
    pub(crate) since_ms: i64,
}

/// Purpose of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FenceKind {
    /// A cut-over: it lasts for milliseconds, and an abandoned one is lifted by the next leader.
    CutOver,
    /// Read-only mode: it lasts until [`crate::operator::read_only_off`].
    ReadOnly,
}

impl FenceKind {
    /// The value of [`MARK`].
    pub(in crate::store) fn mark(self) -> &'static str {
        match self {
            Self::CutOver => "fence",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, reason, owner, since, .. } = self;
        if *kind == FenceKind::ReadOnly {
            formatter.write_str("read-only mode: ")?;
        }
        let since = since.as_deref().unwrap_or("an unknown time");
        write!(formatter, "{reason}, raised by {owner} since {since}")
    }
}

impl Fence {
    /// The fence that refused an insert, from the details of error 121 (`errInfo` of the reply,
    /// `WriteError::details` of the driver; from MongoDB 5.0 on). `None`: another validator refused it.
    ///
    /// It tells a writer that uses the driver itself whether to retry after some milliseconds
    /// ([`FenceKind::CutOver`]) or to report that the event store is read-only ([`FenceKind::ReadOnly`]):
    ///
    /// ```no_run
    /// use mongodb::error::{ErrorKind, WriteFailure};
    /// use statefold::Fence;
    ///
    /// # async fn example(events: mongodb::Collection<bson::Document>, commit: bson::Document) {
    /// if let Err(error) = events.insert_one(commit).await
    ///     && let ErrorKind::Write(WriteFailure::WriteError(refused)) = error.kind.as_ref()
    ///     && let Some(fence) = refused.details.as_ref().and_then(Fence::in_error_details)
    /// {
    ///     println!("{:?}: {fence}", fence.kind);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn in_error_details(details: &Document) -> Option<Self> {
        let refused = details.get_document("details").ok()?.get_document("specifiedAs").ok()?;
        record_in(refused).map(Self::read)
    }

    pub(in crate::store) fn read(record: &Document) -> Self {
        let read_only = record.get_str(MARK).ok() == Some(FenceKind::ReadOnly.mark());
        let pid = record.get("Pid").and_then(Bson::as_i64);
        let host = record.get_str("Host").unwrap_or("an unknown host");
        Self {
            kind: if read_only { FenceKind::ReadOnly } else { FenceKind::CutOver },
            reason: record.get_str("Reason").unwrap_or_default().to_owned(),
            owner: pid.map_or_else(|| host.to_owned(), |pid| format!("{host} (pid {pid})")),
            since: describe_time(record, "Since"),
            since_ms: record.get_datetime("Since").map_or(0, |since| since.timestamp_millis()),
            token: record.get("Token").and_then(Bson::as_i64).unwrap_or(0),
        }
    }
}

/// The record in a validator, if it is one of ours.
pub(in crate::store) fn record_in(validator: &Document) -> Option<&Document> {
    let all = validator.get_document("$expr").ok()?.get_array("$and").ok()?;
    let literal = all.get(1).and_then(Bson::as_document)?.get_document("$literal").ok()?;
    literal.contains_key(MARK).then_some(literal)
}

/// Whether a change of the collection's options, as a change stream shows it, raises the fence of a cut-over.
pub(in crate::store) fn raises_cut_over(change: &Document) -> bool {
    let described = change.get_document("operationDescription").ok();
    let validator = described.and_then(|what| what.get_document("validator").ok());
    validator.and_then(record_in).is_some_and(|record| Fence::read(record).kind == FenceKind::CutOver)
}

impl Fence {
    /// When it was raised, in seconds since 1970, by the clock of its owner.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact")]
    pub(crate) fn since_seconds(&self) -> f64 {
        self.since_ms as f64 / 1000.0
    }

    /// The error of a write that it refuses.
    pub(crate) fn into_error(self) -> Error {
        let since = self.since.unwrap_or_else(|| "an unknown time".into());
        Error::ReadOnly { reason: self.reason, owner: self.owner, since }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_refused_insert_names_the_fence() {
        let record = doc! { MARK: "read-only", "Reason": "moving", "Host": "a", "Pid": 7_i64 };
        let refused = |validator: Document| doc! { "details": { "specifiedAs": validator } };
        let ours = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
        let fence = Fence::in_error_details(&refused(ours)).unwrap();
        assert_eq!((fence.kind, fence.reason.as_str()), (FenceKind::ReadOnly, "moving"));
        assert_eq!(fence.to_string(), "read-only mode: moving, raised by a (pid 7) since an unknown time");
        for other in [doc! { "a": 1 }, doc! { "$expr": { "$and": [false, { "$literal": { "a": 1 } }] } }] {
            assert_eq!(Fence::in_error_details(&refused(other)), None);
        }
        assert_eq!(Fence::in_error_details(&Document::new()), None);
    }

    #[test]
    fn only_the_fence_of_a_cut_over_is_a_marker() {
        let change = |validator: Document| {
            doc! { "operationType": "modify", "operationDescription": { "validator": validator } }
        };
        let fence = |mark: &str| {
            let record = doc! { "Statefold": mark, "Reason": "cut-over" };
            change(doc! { "$expr": { "$and": [false, { "$literal": record }] } })
        };
        assert!(raises_cut_over(&fence("fence")));
        assert!(!raises_cut_over(&fence("read-only")));
        assert!(!raises_cut_over(&change(doc! { "a": 1 })) && !raises_cut_over(&change(doc! {})));
        assert!(!raises_cut_over(&doc! { "operationType": "modify" }));
    }
}
