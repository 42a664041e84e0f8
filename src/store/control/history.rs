//! `Statefold_History`: who did what with statefold in this database, and when. It is for people: nothing is
//! decided by it.
//!
//! Best effort: a record is written after the deed, beside the lease and outside of any transaction. One that
//! can't be written is a warning, and a process that dies between the two loses the record, not the deed.
//!
//! Bounded: the oldest entries go. Not by a capped collection, which takes the right `convertToCapped` that
//! no other step needs, and which an insert in its absence would make anew without its limit.

use std::sync::atomic::Ordering;

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::plan::HISTORY;
use crate::store::connection::{Control, FORMAT, call, call_within, check_format, number_of};
use crate::store::control::holder::{ProcessIdentity, describe_time};
use crate::store::records::user;

/// Number of entries that are kept: some megabytes.
const KEPT: u32 = 5000;
/// Length of a text in the details, at most.
const CHARS_MAX: usize = 500;
/// Length of a list in the details, at most.
const ITEMS_MAX: usize = 20;
/// Time after which a record is given up.
const SECONDS_MAX: u64 = 5;

/// One thing that was done, from [`history`](crate::history).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// When, in RFC 3339, by the clock of the database server.
    pub at: String,
    /// What: `built`, `verified`, `cut_over`, `rolled_back`, `adopted`, `aborted`, `paused`, `resumed`,
    /// `read_only_on`, `read_only_off`, `fence_lifted`, `lock_released` or `cleaned_up`; newer programs may
    /// record others.
    pub what: String,
    /// Name of the projection, if it was about one.
    pub projection: Option<String>,
    /// Number of the generation, if it was about one.
    pub generation: Option<u32>,
    /// Who did it.
    pub who: HistoryWho,
    /// A few facts, with the names that reports have: `fence_ms` and `drain_ms` of a cut-over, for example.
    /// `forced` is there, and true, where a refusal was overruled.
    pub details: Map<String, Value>,
}

/// A process that did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistoryWho {
    /// Name of the user, as the system knows it.
    pub user: String,
    /// The host.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// Version of the program.
    pub version: String,
}

/// Something that was done, to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    what: What,
    projection: Option<String>,
    generation: Option<u32>,
    details: Map<String, Value>,
}

/// The kinds of deeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A generation is complete.
    Built,
    /// Collections were compared with the event store.
    Verified,
    /// Readers were moved to a generation.
    CutOver,
    /// Readers were moved back.
    RolledBack,
    /// A collection of the application counts as a generation.
    Adopted,
    /// An unfinished build was ended.
    Aborted,
    /// A build was paused.
    Paused,
    /// A build was resumed.
    Resumed,
    /// The event store refuses events.
    ReadOnlyOn,
    /// It takes them again.
    ReadOnlyOff,
    /// The fence that an interrupted cut-over had left was lifted.
    FenceLifted,
    /// The migration lock was opened by force.
    LockReleased,
    /// Old generations and leftovers were dropped.
    CleanedUp,
}

impl What {
    /// The name, as stored.
    fn name(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Verified => "verified",
            Self::CutOver => "cut_over",
            Self::RolledBack => "rolled_back",
            Self::Adopted => "adopted",
            Self::Aborted => "aborted",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::ReadOnlyOn => "read_only_on",
            Self::ReadOnlyOff => "read_only_off",
            Self::FenceLifted => "fence_lifted",
            Self::LockReleased => "lock_released",
            Self::CleanedUp => "cleaned_up",
        }
    }
}

impl Deed {
    /// A deed with its details, an object. What is null in it is left out.
    pub(crate) fn new(what: What, details: Value) -> Self {
        let details = match details {
            Value::Object(details) => details.into_iter().filter(|(_, value)| !value.is_null()),
            _ => return Self { what, projection: None, generation: None, details: Map::new() },
        };
        let details = details.map(|(name, value)| (name, shortened(value))).collect();
        Self { what, projection: None, generation: None, details }
    }

    /// The same, about a projection and perhaps a generation of it.
    pub(crate) fn of(self, projection: &str, generation: Option<u32>) -> Self {
        Self { projection: Some(projection.to_owned()), generation, ..self }
    }

    /// One line in the log, whether or not the record can be written.
    fn log(&self) {
        let Self { what, projection, generation, details } = self;
        let details = (!details.is_empty()).then(|| serde_json::to_string(details).unwrap_or_default());
        let details = details.map(tracing::field::display);
        let (projection, what) = (projection.as_deref(), what.name().replace('_', " "));
        tracing::info!(projection, generation = *generation, details, "{what}");
    }

    fn document(self) -> Document {
        let mut who = doc! { "User": user() };
        who.extend(ProcessIdentity::me().document());
        who.remove("Process");
        who.insert("Version", env!("CARGO_PKG_VERSION"));
        let mut document = doc! { "Format": FORMAT, "What": self.what.name(), "Who": who };
        if let Some(projection) = self.projection {
            document.insert("Projection", projection);
        }
        if let Some(generation) = self.generation {
            document.insert("Generation", i64::from(generation));
        }
        document.insert("Details", bson::serialize_to_bson(&self.details).unwrap_or(Bson::Null));
        document
    }
}

/// A value without the end of a text or list that is too long.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > CHARS_MAX => {
            text.chars().take(CHARS_MAX).chain(['…']).collect::<String>().into()
        }
        Value::Array(all) => all.into_iter().take(ITEMS_MAX).collect(),
        other => other,
    }
}

impl Control<'_> {
    /// Records what was done, and logs it. Never fails, and gives up after some seconds.
    pub(crate) async fn record(self, deeds: impl IntoIterator<Item = Deed>) {
        let deeds: Vec<Deed> = deeds.into_iter().collect();
        deeds.iter().for_each(Deed::log);
        if deeds.is_empty() {
            return;
        }
        // A majority isn't waited for: that takes long just when there is something to record.
        let concern = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
        let options = CollectionOptions::builder().write_concern(concern).build();
        let history = self.store.db.collection_with_options::<Document>(HISTORY, options);
        let write = async move {
            for deed in deeds {
                // The time of the server, which only a pipeline can refer to. Details may have a `$`.
                let set = doc! { "$replaceWith": { "$mergeObjects": [
                    { "_id": "$_id", "At": "$$NOW" }, { "$literal": deed.document() },
                ] } };
                history.update_one(doc! { "_id": ObjectId::new() }, vec![set]).upsert(true).await?;
            }
            without_oldest(&history).await
        };
        let Err(error) = call_within(SECONDS_MAX, "recording the history", write).await else { return };
        let error = error.with_sources();
        if self.store.unrecorded.swap(true, Ordering::Relaxed) {
            tracing::debug!(error, "what was done isn't recorded");
        } else {
            tracing::warn!(error, "what was done isn't recorded in {HISTORY}; it is done all the same");
        }
    }

    /// What was done, the newest first; at most `limit`, 0 for all.
    pub(crate) async fn history(self, limit: i64) -> Result<Vec<HistoryEntry>> {
        let history = self.store.collection(HISTORY);
        let find = async move {
            history
                .find(doc! {})
                .sort(newest_first())
                .limit(limit)
                .await?
                .try_collect::<Vec<Document>>()
                .await
        };
        let found = call("reading the history", find).await?;
        found.iter().map(|one| check_format(one, "an entry of the history").map(|()| entry(one))).collect()
    }
}

/// Entries of the same moment are in the order in which a process made them.
fn newest_first() -> Document {
    doc! { "At": -1, "_id": -1 }
}

/// Removes the oldest entries, if there are more than are kept.
async fn without_oldest(history: &Collection<Document>) -> mongodb::error::Result<()> {
    if history.estimated_document_count().await? <= u64::from(KEPT) {
        return Ok(());
    }
    let first = history.find_one(doc! {}).sort(newest_first()).skip(u64::from(KEPT));
    let Some(first) = first.projection(doc! { "At": 1 }).await? else { return Ok(()) };
    let (at, id) = (first.get("At").cloned(), first.get("_id").cloned());
    let older = doc! { "$or": [{ "At": { "$lt": at.clone() } }, { "At": at, "_id": { "$lte": id } }] };
    history.delete_many(older).await.map(|_| ())
}

fn entry(document: &Document) -> HistoryEntry {
    let number = |document: &Document, name: &str| {
        document.get(name).and_then(number_of).and_then(|number| u32::try_from(number).ok())
    };
    let text = |document: &Document, name: &str| document.get_str(name).map(str::to_owned);
    let who = document.get_document("Who").cloned().unwrap_or_default();
    let details = document.get("Details").cloned().map(Bson::into_relaxed_extjson);
    HistoryEntry {
        at: describe_time(document, "At").unwrap_or_default(),
        what: text(document, "What").unwrap_or_default(),
        projection: text(document, "Projection").ok(),
        generation: number(document, "Generation"),
        who: HistoryWho {
            user: text(&who, "User").unwrap_or_default(),
            host: text(&who, "Host").unwrap_or_default(),
            pid: number(&who, "Pid"),
            version: text(&who, "Version").unwrap_or_default(),
        },
        details: match details {
            Some(Value::Object(details)) => details,
            _ => Map::new(),
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_reads_back_without_what_is_null_and_with_texts_of_bounded_length() {
        let long = "ü".repeat(CHARS_MAX + 1);
        let details = json!({ "reason": long, "absent": null, "fence_ms": 1.5, "streams": 7, "$x": "$y" });
        let mut document = Deed::new(What::Paused, details).of("Assets", Some(3)).document();
        document.insert("At", bson::DateTime::from_millis(0));
        let entry = entry(&document);
        assert_eq!((entry.what.as_str(), entry.at.as_str()), ("paused", "1970-01-01T00:00:00Z"));
        assert_eq!((entry.projection.as_deref(), entry.generation), (Some("Assets"), Some(3)));
        assert_eq!(entry.who.pid, Some(std::process::id()));
        let reason = entry.details.get("reason").and_then(Value::as_str).unwrap();
        assert_eq!(reason.chars().count(), CHARS_MAX + 1);
        assert!(reason.ends_with('…'));
        let names: Vec<&str> = entry.details.keys().map(String::as_str).collect();
        assert_eq!(names, ["reason", "fence_ms", "streams", "$x"]);
        assert_eq!(entry.details.get("fence_ms"), Some(&json!(1.5)));
        assert_eq!(entry.details.get("streams"), Some(&json!(7)));
    }
}
