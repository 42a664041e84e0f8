//! The fence: the event store refuses inserts, by a validator that nothing satisfies.
//!
//! The former options are saved in the control document first, and inside the validator as well, so that
//! whoever finds an abandoned fence can restore them exactly.
//!
//! Invariant: each kind of fence is lifted in its own way only. The leader lifts that of a cut-over;
//! read-only mode ends only when it is turned off.

use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};
use futures::TryStreamExt;

use crate::error::{Class, Error, Result};
use crate::store::connection::{Control, INDEX_BUILD, OUT_OF_TIME, call, refused_writes};
use crate::store::control::fence_record::{Fence, FenceKind, MARK, record_in};
use crate::store::control::holder::ProcessIdentity;
use crate::store::control::mandate::Mandate;

/// Time that inserts may queue behind the fence while it waits for a transaction.
const FENCE_WAIT: Duration = Duration::from_millis(150);
/// Time that readers may queue behind an attempt to lift the fence while it waits for a transaction.
const LIFT_WAIT: Duration = Duration::from_millis(500);
/// Time in which a majority of the members has to confirm a write, or no fence is raised: it would take as
/// long to become durable, and the pointer too.
const CONFIRM_MAX: Duration = Duration::from_millis(400);
/// Time in which a majority has to confirm the fence.
const DURABLE_WAIT: Duration = Duration::from_secs(1);
/// Time in which what hinders a fence from being lifted is waited for, where somebody else may lift it later.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two attempts to lift it.
const LIFT_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two log lines about a fence that can't be lifted.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Field of the note that tells one attempt to raise a fence from others.
pub(super) const ATTEMPT: &str = "Attempt";
/// A majority didn't confirm a write in time (`WriteConcernFailed`).
const NOT_DURABLE: i32 = 64;
/// Reason of the fence of a cut-over.
pub(crate) const CUT_OVER: &str = "cut-over";

/// Outcome of an attempt to raise the fence.
pub(crate) enum Fenced {
    /// It is raised, since this operation time, where the server tells one: every acknowledged insert is
    /// older. The instant is when it was requested, by this machine's clock; the last value tells this
    /// attempt from others, in the note of the fence.
    Standing(Option<Timestamp>, Instant, ObjectId),
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
        let mut former = self.validation().await?;
        // Left by an attempt of ours whose outcome wasn't known.
        if fence_of(&former).is_some_and(|fence| fence.kind == kind && fence.token == mandate.token) {
            self.lift(kind, Some(mandate.token)).await?;
            former = self.validation().await?;
        }
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
        let attempt = ObjectId::new();
        record.insert(ATTEMPT, attempt);
        // The record is durable before the options are changed.
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let note = doc! { "$set": { "Fence": record.clone() } };
        let noting = Instant::now();
        let noted = async move { control.update_one(filter, note).await };
        if call("noting the fence", noted).await?.matched_count == 0 {
            return Err(Error::Fenced { token: mandate.token, what: "the fence".into() });
        }
        let took = noting.elapsed();
        // In read-only mode nobody waits behind it.
        if kind == FenceKind::CutOver && took > CONFIRM_MAX {
            self.forget_fence(mandate.token).await?;
            let (took, max) = (took.as_millis(), CONFIRM_MAX.as_millis());
            return Ok(Fenced::Busy(format!(
                "a majority of the members takes {took} ms to confirm a write, at most {max} ms are allowed"
            )));
        }
        let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
        let options = doc! { "validator": refuse, "validationLevel": "strict", "validationAction": "error" };
        let asked = Instant::now();
        let raised = match self.change_options(options, FENCE_WAIT).await {
            Ok(time) => self.durable(time).await.map(|()| time),
            Err(error) => Err(error),
        };
        match raised {
            Ok(time) => Ok(Fenced::Standing(time, asked, attempt)),
            Err(error) => {
                // It may stand even so: the reply was lost, or a majority didn't confirm it in time. The
                // record is forgotten only after a look; lifting does both.
                let lifted = self.lift_patiently(kind, Some(mandate.token), Some(PATIENCE)).await;
                if let Err(second) = lifted
                    && !self.validation().await.is_ok_and(|now| !is_fence(&now))
                {
                    let reason = second.with_sources();
                    return Err(Error::FenceStands { reason, source: Box::new(error) });
                }
                busy(&error).map(|reason| Fenced::Busy(reason.to_owned())).ok_or(error)
            }
        }
    }

    /// Waits until a majority of the members has the options that were changed, at this time if the server
    /// tells one.
    async fn durable(self, time: Option<Timestamp>) -> Result<()> {
        if time.is_none() {
            return Ok(());
        }
        // A write that changes nothing waits for the majority as well, and makes the server write its journal
        // at once, which a read that waits doesn't.
        let nothing =
            doc! { "q": { "_id": &self.store.names.control_id }, "u": { "$unset": { "Nothing": "" } } };
        let command = doc! {
            "update": &self.store.names.collection, "updates": [nothing],
            "writeConcern": {
                "w": "majority", "wtimeout": i64::try_from(DURABLE_WAIT.as_millis()).unwrap_or(i64::MAX),
            },
        };
        let doing = "waiting until the fence is durable";
        let reply = self.store.command(doing, command).await?;
        refused_writes(doing, &reply)
    }

    /// Lifts the fence of a cut-over that somebody left behind, and waits for a while for what is in the way.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// The server's error; the fence may still be raised then.
    pub(crate) async fn lift_left_fence(self) -> Result<bool> {
        self.lift_patiently(FenceKind::CutOver, None, Some(PATIENCE)).await.map(|lifted| lifted.is_some())
    }

    /// Lifts the fence of this process's own cut-over. While something passing is in the way, a transaction
    /// or an election, this is tried again for as long as the process lives: nobody else may be there to lift
    /// it. Returns when it was lifted; `None` if it was lifted already.
    ///
    /// # Errors
    /// [`Error::FenceStands`].
    pub(crate) async fn lift_own_fence(self, token: i64) -> Result<Option<Instant>> {
        self.lift_patiently(FenceKind::CutOver, Some(token), None).await.map_err(|error| {
            let reason = error.with_sources();
            Error::FenceStands { reason, source: Box::new(error) }
        })
    }

    /// Lifts a fence, and waits for what is in the way, at most for so long.
    async fn lift_patiently(
        self,
        kind: FenceKind,
        token: Option<i64>,
        patience: Option<Duration>,
    ) -> Result<Option<Instant>> {
        let (began, mut said): (_, Option<Instant>) = (Instant::now(), None);
        loop {
            let error = match self.lift(kind, token).await {
                Err(error) if busy(&error).is_some() || error.class() == Class::Transient => error,
                other => return other,
            };
            if patience.is_some_and(|patience| began.elapsed() >= patience) {
                return Err(error);
            }
            if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                said = Some(Instant::now());
                let (error, waited) = (error.with_sources(), Duration::from_secs(began.elapsed().as_secs()));
                tracing::error!(
                    error,
                    ?waited,
                    "the event store refuses events: its fence can't be lifted yet; trying again"
                );
            }
            tokio::time::sleep(LIFT_PAUSE).await;
        }
    }

    /// Lifts the fence of read-only mode, if there is one, and restores the former options.
    ///
    /// # Errors
    /// The server's error; the fence may still be raised then.
    pub(crate) async fn lift_read_only(self) -> Result<Lifted> {
        match self.lift(FenceKind::ReadOnly, None).await {
            Ok(Some(_)) => Ok(Lifted::Done),
            Ok(None) => Ok(Lifted::NotRaised),
            Err(error) => busy(&error).map(|reason| Lifted::Busy(reason.to_owned())).ok_or(error),
        }
    }

    /// Lifts a fence of this kind, unless it is of a newer token: the fence of somebody who took over is his.
    /// The server can't change options under a condition, so that the token is compared right before.
    async fn lift(self, kind: FenceKind, token: Option<i64>) -> Result<Option<Instant>> {
        let options = self.validation().await?;
        let found = fence_of(&options);
        let is_newer = |fence: &Fence| token.is_some_and(|token| fence.token > token);
        if found.as_ref().is_some_and(|fence| fence.kind != kind || is_newer(fence)) {
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
            let changed = self.change_options(restored, LIFT_WAIT).await;
            lifted = Some(Instant::now());
            let durable = match changed {
                Ok(time) => self.durable(time).await,
                Err(error) => Err(error),
            };
            // Looked at once a majority has it: an election may have rolled it back.
            if is_fence(&self.validation().await?) {
                return Err(durable.err().unwrap_or_else(|| Error::Server {
                    doing: "lifting the fence".into(),
                    code: None,
                    transient: true,
                    source: "an election has undone it".into(),
                }));
            }
            durable?;
        }
        let control = self.store.collection(&self.store.names.collection);
        let mut filter = doc! { "_id": &self.store.names.control_id };
        filter.insert(format!("Fence.{MARK}"), kind.mark());
        if let Some(token) = token {
            filter.insert("Fence.Token", doc! { "$lte": token });
        }
        let forget = async move { control.update_one(filter, doc! { "$unset": { "Fence": "" } }).await };
        match call("noting that the fence is lifted", forget).await {
            // The event store takes events: the note alone hinders nobody, and the next fence replaces it.
            Err(error) if lifted.is_some() => {
                tracing::warn!(error = %error.with_sources(), "the fence is lifted, but still noted");
            }
            other => _ = other?,
        }
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
        // Acknowledged by the primary: waiting for a majority within the same time limit would look like
        // waiting for a transaction. Who needs it waits for a majority afterwards.
        command.insert("writeConcern", doc! { "w": 1 });
        let reply = self.store.command("changing the event store's options", command).await?;
        Ok(reply.get_timestamp("operationTime").ok())
    }
}

/// The reason that the options can't be changed now, if it is a passing one.
fn busy(error: &Error) -> Option<&'static str> {
    match error {
        Error::Server { code: Some(OUT_OF_TIME), .. } => Some("a transaction on the event store is open"),
        Error::Server { code: Some(INDEX_BUILD), .. } => Some("an index is being built on the event store"),
        Error::Server { code: Some(NOT_DURABLE), .. } => {
            Some("a majority of the members didn't confirm the fence in time")
        }
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
