//! Whether somebody opened the migration lock since it was signed.
//!
//! Opening it by hand, as Squidex's documentation advises, leaves our signature beside it, and so does the
//! server of Squidex that takes it next. Only the server's history tells that holder from the one that
//! signed.

use std::time::Duration;

use bson::{Document, Timestamp, doc};

use crate::error::Result;
use crate::plan::Topology;
use crate::store::connection::{Control, call, time_of};

/// Time before the signature from which the history is read: the clock of the machine that signed may differ
/// from that of the server.
const CLOCKS_DIFFER: u32 = 120;
/// Time the server waits for a change before it replies that there is none.
const AWAIT: Duration = Duration::from_millis(100);
/// Longest time for reading the history.
const READ_MAX: Duration = Duration::from_secs(20);

impl Control<'_> {
    /// Whether the migration lock was opened after this signature was written; `None` if the server can't
    /// tell: a standalone server, or a history that doesn't reach back far enough.
    pub(in crate::store) async fn opened_since(self, signature: &Document) -> Result<Option<bool>> {
        if self.store.facts.topology == Topology::Standalone {
            return Ok(None);
        }
        let Some(now) = self.store.operation_time().await? else { return Ok(None) };
        let since = signature.get_datetime("Since").ok().map(|since| since.timestamp_millis() / 1000);
        let Some(since) = since.and_then(|since| u32::try_from(since).ok()) else { return Ok(None) };
        let start = Timestamp { time: since.saturating_sub(CLOCKS_DIFFER), increment: 1 };
        let owner = signature.get_str("Owner").unwrap_or_default().to_owned();
        let migration = self.store.collection(&self.store.names.collection);
        let pipeline = [
            doc! { "$match": { "documentKey._id": &self.store.names.version_id } },
            doc! { "$project": { "operationType": 1, "updateDescription": 1, "fullDocument": 1 } },
        ];
        let read = async move {
            let watch = migration.watch().pipeline(pipeline).max_await_time(AWAIT);
            let mut changes = watch.start_at_operation_time(start).await?.with_type::<Document>();
            let (mut history, began) = (History::new(&owner), std::time::Instant::now());
            loop {
                if began.elapsed() > READ_MAX {
                    history.opened = None;
                    return Ok(history);
                }
                match changes.next_if_any().await? {
                    Some(change) => history.add(&change),
                    None if changes.resume_token().as_ref().and_then(time_of) >= Some(now) => {
                        return Ok(history);
                    }
                    None => {}
                }
            }
        };
        Ok(match call("reading who opened the migration lock", read).await {
            Ok(history) => history.opened,
            Err(error) => {
                tracing::debug!(error = %error.with_sources(), "the history can't be read");
                None
            }
        })
    }
}

/// What the changes of the version document tell.
#[derive(Debug)]
struct History {
    owner: String,
    /// Whether it was opened since the owner signed; `None` while its signature wasn't seen.
    opened: Option<bool>,
}

impl History {
    fn new(owner: &str) -> Self {
        Self { owner: owner.to_owned(), opened: None }
    }

    fn add(&mut self, change: &Document) {
        let update = change.get_document("updateDescription").ok();
        let set = update.and_then(|update| update.get_document("updatedFields").ok());
        let Some(set) = set.or_else(|| change.get_document("fullDocument").ok()) else { return };
        let whole = set.get_document("LockedBy").ok().and_then(|signature| signature.get_str("Owner").ok());
        // A signature over another one is shown by the fields that differ.
        let signed = whole.or_else(|| set.get_str("LockedBy.Owner").ok());
        let is_kept = set.contains_key("LockedBy.KeptAt") && self.opened.is_some();
        if signed == Some(self.owner.as_str()) || signed.is_none() && is_kept {
            self.opened = Some(false);
        } else if set.contains_key("IsLocked") && !set.get_bool("IsLocked").is_ok_and(|locked| locked) {
            self.opened = self.opened.map(|_| true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(changes: &[Document]) -> Option<bool> {
        let mut history = History::new("us");
        changes.iter().for_each(|change| history.add(change));
        history.opened
    }

    fn set(fields: Document) -> Document {
        doc! { "operationType": "update", "updateDescription": { "updatedFields": fields } }
    }

    #[test]
    fn it_is_opened_only_after_the_signature() {
        let signs = set(doc! { "IsLocked": true, "LockedBy": { "Owner": "us" } });
        let opens = set(doc! { "IsLocked": false });
        let locks = set(doc! { "IsLocked": true });
        assert_eq!(opened(&[]), None);
        assert_eq!(opened(std::slice::from_ref(&opens)), None);
        assert_eq!(opened(&[opens.clone(), signs.clone()]), Some(false));
        assert_eq!(opened(&[signs.clone(), opens.clone(), locks]), Some(true));
        assert_eq!(opened(&[signs.clone(), opens.clone(), signs.clone()]), Some(false));
        // Opened, and locked again by the one that signed.
        let kept = set(doc! { "IsLocked": true, "LockedBy.KeptAt": bson::DateTime::now() });
        assert_eq!(opened(&[signs.clone(), opens.clone(), kept]), Some(false));
        let over = |owner: &str| set(doc! { "IsLocked": true, "LockedBy.Owner": owner });
        assert_eq!(opened(&[over("us"), opens.clone()]), Some(true));
        assert_eq!(opened(&[signs, opens, over("other")]), Some(true));
        let inserted = doc! { "operationType": "insert", "fullDocument": { "LockedBy": { "Owner": "us" } } };
        assert_eq!(opened(&[inserted, set(doc! { "IsLocked": 0 })]), Some(true));
    }
}
