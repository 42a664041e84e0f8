//! A change of the event store, as a change stream shows it, and which streams it makes dirty.

use bson::{Document, Timestamp};
use statefold_projections::StreamFilter;

use crate::lifecycle::dirty::Dirty;

/// Field of a change with the document as it was.
pub(crate) const BEFORE: &str = "fullDocumentBeforeChange";
/// Field of a change with the document as it is.
pub(crate) const AFTER: &str = "fullDocument";

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeOf<'a> {
    /// One commit was written or deleted.
    Commit {
        /// The stream it belonged to before, if the change tells.
        before: Option<&'a str>,
        /// The stream it belongs to now, if the change tells.
        after: Option<&'a str>,
        /// Whether it is new.
        is_new: bool,
    },
    /// The options of the collection.
    Options,
    /// Nothing that counts.
    Nothing,
    /// The collection as a whole, for example that it was dropped.
    Whole(&'a str),
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// When it was made, if it tells.
    pub(crate) at: Option<Timestamp>,
    pub(crate) of: ChangeOf<'a>,
}

impl<'a> Change<'a> {
    /// Reads a change of a collection whose commits name their stream in this field.
    #[must_use]
    pub(crate) fn read(change: &'a Document, stream: &str) -> Self {
        let named = |document| change.get_document(document).ok()?.get_str(stream).ok();
        let of = match change.get_str("operationType").unwrap_or_default() {
            kind @ ("insert" | "replace" | "update" | "delete") => {
                ChangeOf::Commit { before: named(BEFORE), after: named(AFTER), is_new: kind == "insert" }
            }
            "modify" => ChangeOf::Options,
            "createIndexes" | "dropIndexes" | "create" => ChangeOf::Nothing,
            other => ChangeOf::Whole(other),
        };
        Self { at: change.get_timestamp("clusterTime").ok(), of }
    }

    /// Marks the streams that are dirty after this change, which was made at that time.
    pub(crate) fn mark(&self, filter: &StreamFilter, dirty: &mut Dirty, at: Timestamp) {
        let ChangeOf::Commit { before, after, is_new } = self.of else { return };
        for stream in before.into_iter().chain(after) {
            // A stream that records the end of another one makes that one dirty.
            let left_out = filter.suffix_left_out();
            let main = left_out.and_then(|suffix| stream.strip_suffix(suffix)).unwrap_or(stream);
            if filter.matches(main) {
                dirty.mark(main, at);
                if main != stream {
                    dirty.ends(main, at);
                }
            }
        }
        // The stream that a commit belonged to before it was changed or deleted.
        let known = if is_new { after } else { before };
        if known.is_none() {
            dirty.mark_deleted(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use proptest::prelude::*;

    use super::*;
    use crate::lifecycle::dirty::Unnamed;

    fn filter() -> StreamFilter {
        StreamFilter::prefix("asset-").without_suffix("--deleted")
    }

    fn marked(change: &Document) -> Dirty {
        let mut dirty = Dirty::new(10_000);
        Change::read(change, "stream").mark(&filter(), &mut dirty, Timestamp { time: 1, increment: 0 });
        dirty
    }

    #[test]
    fn a_delete_without_a_name_makes_any_stream_suspicious() {
        let mut silent = marked(&doc! { "operationType": "delete" });
        assert_eq!(silent.take().unnamed, Unnamed::Deleted);
        let mut told = marked(&doc! { "operationType": "delete", BEFORE: { "stream": "asset-1" } });
        assert_eq!((told.len(), told.take().unnamed), (1, Unnamed::Clean));
    }

    #[test]
    fn the_end_of_a_stream_makes_that_stream_dirty() {
        let ended = doc! { "operationType": "insert", AFTER: { "stream": "asset-1--deleted" } };
        assert_eq!(marked(&ended).take().streams, ["asset-1"]);
    }

    #[test]
    fn what_is_not_known_is_about_the_whole() {
        for (kind, of) in [
            ("drop", ChangeOf::Whole("drop")),
            ("rename", ChangeOf::Whole("rename")),
            ("invalidate", ChangeOf::Whole("invalidate")),
            ("something new", ChangeOf::Whole("something new")),
            ("modify", ChangeOf::Options),
            ("createIndexes", ChangeOf::Nothing),
        ] {
            let change = doc! { "operationType": kind };
            assert_eq!(Change::read(&change, "stream").of, of);
            assert!(marked(&change).is_empty());
        }
        assert_eq!(Change::read(&doc! {}, "stream").of, ChangeOf::Whole(""));
    }

    fn name() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("(asset-|other-)[ab]{0,2}(--deleted)?")
    }

    proptest! {
        #[test]
        fn no_change_of_a_commit_goes_unnoticed(
            kind in prop_oneof!["insert", "replace", "update", "delete"], before in name(), after in name(),
        ) {
            let document =
                |name: &Option<String>| name.as_ref().map_or(doc! {}, |name| doc! { "stream": name });
            let change = doc! { "operationType": &kind, BEFORE: document(&before), AFTER: document(&after) };
            let mut dirty = marked(&change);
            for name in before.iter().chain(&after).filter(|name| filter().matches(name)) {
                prop_assert!(dirty.has(name));
            }
            let is_named = if kind == "insert" { after.is_some() } else { before.is_some() };
            prop_assert_eq!(dirty.take().unnamed == Unnamed::Clean, is_named);
        }
    }
}
