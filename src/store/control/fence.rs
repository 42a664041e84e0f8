//! The fence: the event store refuses inserts, by a validator that nothing satisfies.
//!
//! The former options are saved in the control document first, and inside the validator as well, so that
//! whoever finds an abandoned fence can restore them exactly.
//!
//! Invariant: each kind of fence is lifted in its own way only. The leader lifts that of a cut-over;
//! read-only mode ends only when it is turned off.

use std::time::{Duration, Instant};

use bson::{DateTime, Document, Timestamp, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::store::connection::{Control, INDEX_BUILD, OUT_OF_TIME, call};
use crate::store::control::fence_record::{Fence, FenceKind, MARK, record_in};
use crate::store::control::holder::ProcessIdentity;
use crate::store::control::mandate::Mandate;

/// Time that inserts may queue behind the fence while it waits for a transaction.
const FENCE_WAIT: Duration = Duration::from_millis(150);
/// Time that lifting the fence may wait for a transaction.
const LIFT_WAIT: Duration = Duration::from_secs(5);
/// Reason of the fence of a cut-over.
pub(crate) const CUT_OVER: &str = "cut-over";

/// Outcome of an attempt to raise the fence.
pub(crate) enum Fenced {
    /// It is raised, since this operation time, where the server tells one: every acknowledged insert is
    /// older. The instant is when it was requested, by this machine's clock.
    Standing(Option<Timestamp>, Instant),
    /// It could not be raised now, for this reason, and no trace of it is left.
    Busy(String),
}

/// Outcome of an attempt to end read-only mode.
pub(crate) enum Lifted {
    /// The fence is lifted.
    Done,
    /// There was none.
    NotRaised,
    /// It can't be lifted now, for this reason.
    Busy(String),
}

impl Control<'_> {
    /// Raises the fence of a cut-over. Every insert that began before has ended when this returns.
    ///
    /// # Errors
    /// [`Error::Permission`] without the right to change the collection's options (`collMod`);
    /// [`Error::Fenced`] if the token isn't the newest.
    pub(crate) async fn raise_fence(self, mandate: &Mandate, reason: &str) -> Result<Fenced> {
        self.raise(mandate, FenceKind::CutOver, reason).await
    }

    /// Raises the fence of read-only mode. Every insert that began before has ended when this returns.
    ///
    /// # Errors
    /// [`Error::Permission`] without the right to change the collection's options (`collMod`);
    /// [`Error::Fenced`] if the token isn't the newest.
    pub(crate) async fn raise_read_only(self, mandate: &Mandate, reason: &str) -> Result<Fenced> {
        self.raise(mandate, FenceKind::ReadOnly, reason).await
    }

    async fn raise(self, mandate: &Mandate, kind: FenceKind, reason: &str) -> Result<Fenced> {
        mandate.check()?;
        let former = self.validation().await?;
        if is_fence(&former) {
            return Err(Error::State {
                build: format!("the event store {}", self.store.layout.collection),
                expected: "not to be fenced".into(),
                actual: "fenced already".into(),
            });
        }
        let mut record =
            doc! { MARK: kind.mark(), "Reason": reason, "Token": mandate.token, "FormerOptions": former };
        record.extend(ProcessIdentity::me().document());
        record.insert("Since", DateTime::now());
        // The record is durable before the options are changed.
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let note = doc! { "$set": { "Fence": record.clone() } };
        let noted = async move { control.update_one(filter, note).await };
        if call("noting the fence", noted).await?.matched_count == 0 {
            return Err(Error::Fenced { token: mandate.token, what: "the fence".into() });
        }
        let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
        let options = doc! { "validator": refuse, "validationLevel": "strict", "validationAction": "error" };
        let asked = Instant::now();
        match self.change_options(options, FENCE_WAIT).await {
            Ok(time) => Ok(Fenced::Standing(time, asked)),
            Err(error) if busy(&error).is_some() => {
                self.forget_fence(mandate.token).await?;
                Ok(Fenced::Busy(busy(&error).unwrap_or_default().to_owned()))
            }
            Err(error) => {
                // The fence may be raised even so, if only the reply was lost.
                let lifted = self.lift(kind).await;
                if let Err(second) = lifted {
                    tracing::warn!(error = %second.with_sources(), "whether the fence stands can't be told");
                }
                Err(error)
            }
        }
    }

    /// Lifts the fence of a cut-over, if there is one, and restores the former options. Returns when it was
    /// lifted.
    ///
    /// # Errors
    /// The server's error; the fence may still be raised then.
    pub(crate) async fn lift_fence(self) -> Result<Option<Instant>> {
        self.lift(FenceKind::CutOver).await
    }

    /// Lifts the fence of read-only mode, if there is one, and restores the former options.
    ///
    /// # Errors
    /// The server's error; the fence may still be raised then.
    pub(crate) async fn lift_read_only(self) -> Result<Lifted> {
        match self.lift(FenceKind::ReadOnly).await {
            Ok(Some(_)) => Ok(Lifted::Done),
            Ok(None) => Ok(Lifted::NotRaised),
            Err(error) => busy(&error).map(|reason| Lifted::Busy(reason.to_owned())).ok_or(error),
        }
    }

    async fn lift(self, kind: FenceKind) -> Result<Option<Instant>> {
        let options = self.validation().await?;
        let found = fence_of(&options);
        if found.as_ref().is_some_and(|fence| fence.kind != kind) {
            return Ok(None);
        }
        let mut lifted = None;
        if found.is_some() {
            let former = former_of(&options).unwrap_or_default();
            let restored = doc! {
                "validator": former.get_document("validator").cloned().unwrap_or_default(),
                "validationLevel": former.get_str("validationLevel").unwrap_or("strict"),
                "validationAction": former.get_str("validationAction").unwrap_or("error"),
            };
            self.change_options(restored, LIFT_WAIT).await?;
            lifted = Some(Instant::now());
        }
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id };
        let forget = async move { control.update_one(filter, doc! { "$unset": { "Fence": "" } }).await };
        call("noting that the fence is lifted", forget).await?;
        Ok(lifted)
    }

    /// The fence that is raised, if it is one of ours.
    pub(crate) async fn fence(self) -> Result<Option<Fence>> {
        Ok(fence_of(&self.validation().await?))
    }

    async fn forget_fence(self, token: i64) -> Result<()> {
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "Fence.Token": token };
        let forget = async move { control.update_one(filter, doc! { "$unset": { "Fence": "" } }).await };
        call("noting that there is no fence", forget).await.map(|_| ())
    }

    /// The validation options of the event store that are set.
    async fn validation(self) -> Result<Document> {
        let (db, name) = (self.store.db.clone(), self.store.layout.collection.clone());
        let list = async move {
            let filter = doc! { "name": name };
            let command = doc! { "listCollections": 1, "filter": filter };
            db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await
        };
        let found = call("reading the event store's options", list).await?;
        let options = found.first().and_then(|collection| collection.get_document("options").ok());
        let is_validation = |name: &str| name == "validator" || name.starts_with("validation");
        let options = options.into_iter().flatten().filter(|(name, _)| is_validation(name));
        Ok(options.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn change_options(self, options: Document, wait: Duration) -> Result<Option<Timestamp>> {
        let mut command = doc! { "collMod": &self.store.layout.collection };
        command.extend(options);
        command.insert("maxTimeMS", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        command.insert("writeConcern", doc! { "w": "majority" });
        let reply = self.store.command("changing the event store's options", command).await?;
        Ok(reply.get_timestamp("operationTime").ok())
    }
}

/// The reason that the options can't be changed now, if it is a passing one.
fn busy(error: &Error) -> Option<&'static str> {
    match error {
        Error::Server { code: Some(OUT_OF_TIME), .. } => Some("a transaction on the event store is open"),
        Error::Server { code: Some(INDEX_BUILD), .. } => Some("an index is being built on the event store"),
        _ => None,
    }
}

fn record_of(options: &Document) -> Option<&Document> {
    record_in(options.get_document("validator").ok()?)
}

fn fence_of(options: &Document) -> Option<Fence> {
    record_of(options).map(Fence::read)
}

fn is_fence(options: &Document) -> bool {
    record_of(options).is_some()
}

fn former_of(options: &Document) -> Option<Document> {
    record_of(options)?.get_document("FormerOptions").ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_of_ours_carries_what_was_there_before() {
        let former = doc! { "validator": { "a": 1 }, "validationLevel": "moderate" };
        let record = doc! { MARK: "fence", "FormerOptions": former.clone() };
        let options = doc! { "validator": { "$expr": { "$and": [false, { "$literal": record }] } } };
        assert!(is_fence(&options));
        assert_eq!(former_of(&options), Some(former.clone()));
        assert!(!is_fence(&former) && !is_fence(&Document::new()));
    }
}
