//! The fence: the event store refuses inserts, by a validator that nothing satisfies.
//!
//! The former options are saved in the control document first, and inside the validator as well, so that
//! whoever finds an abandoned fence can restore them exactly.

use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, Timestamp, doc};

use crate::error::{Error, Result};
use crate::store::connection::{Control, call};
use crate::store::control::fence_options::{busy, fence_of, is_fence};
use crate::store::control::fence_record::{Fence, FenceKind, MARK};
use crate::store::control::holder::ProcessIdentity;
use crate::store::control::lift::PATIENCE;
use crate::store::control::mandate::Mandate;

/// Time that inserts may queue behind the fence while it waits for a transaction.
const FENCE_WAIT: Duration = Duration::from_millis(150);
/// Time in which a majority of the members has to confirm a write, or no fence is raised: it would take as
/// long to become durable, and the pointer too.
const CONFIRM_MAX: Duration = Duration::from_millis(400);
/// Field of the note that tells one attempt to raise a fence from others.
pub(super) const ATTEMPT: &str = "Attempt";
/// Reason of the fence of a cut-over.
pub(crate) const CUT_OVER: &str = "cut-over";

/// A fence that is noted and can be raised at once.
pub(crate) struct PreparedFence {
    kind: FenceKind,
    token: i64,
    former: Document,
    record: Document,
    /// What tells this attempt from others, in the note of the fence.
    pub(crate) attempt: ObjectId,
}

/// Outcome of preparing a fence.
pub(crate) enum Prepared {
    /// It can be raised.
    Ready(Box<PreparedFence>),
    /// It could not be raised now, for this reason, and no trace of it is left.
    Busy(String),
}

/// Outcome of an attempt to raise the fence.
pub(crate) enum Fenced {
    /// It is raised, since this operation time, where the server tells one: every acknowledged insert is
    /// older. The instant is when it was requested, by this machine's clock.
    Standing(Option<Timestamp>, Instant),
    /// It could not be raised now, for this reason, and no trace of it is left.
    Busy(String),
}

impl PreparedFence {
    /// The options of the event store that it replaces.
    pub(crate) fn former(&self) -> &Document {
        &self.former
    }
}

impl Control<'_> {
    /// Prepares the fence of a cut-over: notes it, so that only one step is left to raise it.
    ///
    /// # Errors
    /// [`Error::State`] if the event store is fenced already; [`Error::Fenced`] if the token isn't the
    /// newest.
    pub(crate) async fn prepare_fence(self, mandate: &Mandate, reason: &str) -> Result<Prepared> {
        self.prepare(mandate, FenceKind::CutOver, reason).await
    }

    /// Raises a fence that is prepared. Every insert that began before has ended when this returns. Nothing
    /// may rely on it before it is [confirmed](Self::confirm_fence).
    ///
    /// # Errors
    /// [`Error::Permission`] without the right to change the collection's options (`collMod`);
    /// [`Error::LeaseLost`].
    pub(crate) async fn raise_prepared(self, mandate: &Mandate, prepared: &PreparedFence) -> Result<Fenced> {
        mandate.check()?;
        let refuse = doc! { "$expr": { "$and": [false, { "$literal": prepared.record.clone() }] } };
        let options = doc! { "validator": refuse, "validationLevel": "strict", "validationAction": "error" };
        let asked = Instant::now();
        let error = match self.change_options(options, FENCE_WAIT).await {
            Ok(time) => return Ok(Fenced::Standing(time, asked)),
            Err(error) => error,
        };
        self.unraise(prepared, error).await
    }

    /// Waits until a majority has the fence of a cut-over, which was raised at this time. Says why if that
    /// takes too long.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn confirm_fence(self, time: Option<Timestamp>) -> Result<Option<String>> {
        match self.durable(time).await {
            Ok(()) => Ok(None),
            Err(error) => busy(&error).map(|reason| Some(reason.to_owned())).ok_or(error),
        }
    }

    /// Raises the fence of read-only mode. Every insert that began before has ended when this returns.
    ///
    /// # Errors
    /// [`Error::Permission`] without the right to change the collection's options (`collMod`);
    /// [`Error::Fenced`] if the token isn't the newest.
    pub(crate) async fn raise_read_only(self, mandate: &Mandate, reason: &str) -> Result<Fenced> {
        self.raise(mandate, FenceKind::ReadOnly, reason).await
    }

    async fn prepare(self, mandate: &Mandate, kind: FenceKind, reason: &str) -> Result<Prepared> {
        mandate.check()?;
        let mut former = self.validation().await?;
        // Left by an attempt of ours whose outcome wasn't known.
        if fence_of(&former).is_some_and(|fence| fence.kind == kind && fence.token == mandate.token) {
            self.lift(kind, Some(mandate.token), None).await?;
            former = self.validation().await?;
        }
        if is_fence(&former) {
            return Err(Error::State {
                build: format!("the event store {}", self.store.layout.collection),
                expected: "not to be fenced".into(),
                actual: "fenced already".into(),
            });
        }
        let mut record = doc! {
            MARK: kind.mark(), "Reason": reason, "Token": mandate.token, "FormerOptions": former.clone(),
        };
        record.extend(ProcessIdentity::me().document());
        record.insert("Since", DateTime::now());
        let attempt = ObjectId::new();
        record.insert(ATTEMPT, attempt);
        // The record is durable before the options are changed.
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let mut noted = record.clone();
        // As text, for people: before MongoDB 5.0 no stored field may begin with a dollar, as `$exists` does.
        noted.insert("FormerOptions", Bson::from(former.clone()).into_canonical_extjson().to_string());
        let note = doc! { "$set": { "Fence": noted } };
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
            return Ok(Prepared::Busy(format!(
                "a majority of the members takes {took} ms to confirm a write, at most {max} ms are allowed"
            )));
        }
        let token = mandate.token;
        Ok(Prepared::Ready(Box::new(PreparedFence { kind, token, former, record, attempt })))
    }

    async fn raise(self, mandate: &Mandate, kind: FenceKind, reason: &str) -> Result<Fenced> {
        let prepared = match self.prepare(mandate, kind, reason).await? {
            Prepared::Ready(prepared) => prepared,
            Prepared::Busy(reason) => return Ok(Fenced::Busy(reason)),
        };
        let raised = self.raise_prepared(mandate, &prepared).await?;
        let Fenced::Standing(time, asked) = raised else { return Ok(raised) };
        match self.durable(time).await {
            Ok(()) => Ok(Fenced::Standing(time, asked)),
            Err(error) => self.unraise(&prepared, error).await,
        }
    }

    /// Lifts a fence whose raising failed with this error: it may stand even so, because the reply was
    /// lost, or because a majority didn't confirm it in time. The record is forgotten only after a look;
    /// lifting does both.
    async fn unraise(self, prepared: &PreparedFence, error: Error) -> Result<Fenced> {
        let lifted = self.lift_patiently(prepared.kind, Some(prepared.token), Some(PATIENCE), None).await;
        if let Err(second) = lifted
            && !self.validation().await.is_ok_and(|now| !is_fence(&now))
        {
            let reason = second.with_sources();
            return Err(Error::FenceStands { reason, source: Box::new(error) });
        }
        busy(&error).map(|reason| Fenced::Busy(reason.to_owned())).ok_or(error)
    }

    /// The fence that is raised, if it is one of ours.
    pub(crate) async fn fence(self) -> Result<Option<Fence>> {
        Ok(fence_of(&self.validation().await?))
    }

    /// Forgets the note of a fence that isn't raised.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn forget_fence(self, token: i64) -> Result<()> {
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "Fence.Token": token };
        let forget = async move { control.update_one(filter, doc! { "$unset": { "Fence": "" } }).await };
        call("noting that there is no fence", forget).await.map(|_| ())
    }
}
