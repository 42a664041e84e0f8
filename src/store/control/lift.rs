//! Lifting the fence: the former options of the event store are restored exactly.
//!
//! Invariant: each kind of fence is lifted in its own way only. The leader lifts that of a cut-over;
//! read-only mode ends only when it is turned off.

use std::time::{Duration, Instant};

use bson::{Document, doc};

use crate::error::{Class, Error, Result};
use crate::store::connection::{Control, call};
use crate::store::control::fence_options::{busy, fence_of, former_of, is_fence};
use crate::store::control::fence_record::{Fence, FenceKind, MARK};
use crate::store::control::mandate::Mandate;

/// Time that readers may queue behind an attempt to lift the fence while it waits for a transaction.
const LIFT_WAIT: Duration = Duration::from_millis(500);
/// Time in which what hinders a fence from being lifted is waited for, where somebody else may lift it later.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two attempts to lift it.
const LIFT_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two log lines about a fence that can't be lifted.
const SAY_EVERY: Duration = Duration::from_secs(5);

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
    /// Lifts the fence of a cut-over that somebody left behind, and waits for a while for what is in the way.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// The server's error; the fence may still be raised then.
    pub(crate) async fn lift_left_fence(self) -> Result<bool> {
        self.lift_patiently(FenceKind::CutOver, None, Some(PATIENCE), None)
            .await
            .map(|lifted| lifted.is_some())
    }

    /// Forgets the note of a fence that was never raised, because its process died before; for a leader that
    /// has seen that none stands.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn forget_unraised_fence(self) -> Result<()> {
        if !self.document().await?.is_some_and(|control| control.contains_key("Fence")) {
            return Ok(());
        }
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id };
        let forget = async move { control.update_one(filter, doc! { "$unset": { "Fence": "" } }).await };
        call("forgetting a fence that was never raised", forget).await.map(|_| ())
    }

    /// Lifts the fence of this process's own cut-over. While something passing is in the way, a transaction
    /// or an election, this is tried again for as long as the process lives: nobody else may be there to lift
    /// it. Returns when it was lifted; `None` if it was lifted already.
    ///
    /// # Errors
    /// [`Error::FenceStands`].
    pub(crate) async fn lift_own_fence(
        self,
        mandate: &Mandate,
        former: Option<&Document>,
    ) -> Result<Option<Instant>> {
        // While the lease is ours for certain, the fence is, too, and what it replaced is known.
        let known = former.filter(|_| mandate.check().is_ok());
        self.lift_patiently(FenceKind::CutOver, Some(mandate.token), None, known).await.map_err(|error| {
            let reason = error.with_sources();
            Error::FenceStands { reason, source: Box::new(error) }
        })
    }

    /// Lifts a fence, and waits for what is in the way, at most for so long.
    pub(super) async fn lift_patiently(
        self,
        kind: FenceKind,
        token: Option<i64>,
        patience: Option<Duration>,
        mut known: Option<&Document>,
    ) -> Result<Option<Instant>> {
        let (began, mut said): (_, Option<Instant>) = (Instant::now(), None);
        loop {
            let error = match self.lift(kind, token, known.take()).await {
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
        match self.lift(FenceKind::ReadOnly, None, None).await {
            Ok(Some(_)) => Ok(Lifted::Done),
            Ok(None) => Ok(Lifted::NotRaised),
            Err(error) => busy(&error).map(|reason| Lifted::Busy(reason.to_owned())).ok_or(error),
        }
    }

    /// Lifts a fence of this kind, unless it is of a newer token: the fence of somebody who took over is his.
    /// The server can't change options under a condition, so that the token is compared right before, unless
    /// the former options are `known` because it certainly is ours.
    pub(super) async fn lift(
        self,
        kind: FenceKind,
        token: Option<i64>,
        known: Option<&Document>,
    ) -> Result<Option<Instant>> {
        let former = match known {
            Some(known) => Some(known.clone()),
            None => {
                let options = self.validation().await?;
                let found = fence_of(&options);
                let is_newer = |fence: &Fence| token.is_some_and(|token| fence.token > token);
                if found.as_ref().is_some_and(|fence| fence.kind != kind || is_newer(fence)) {
                    return Ok(None);
                }
                found.map(|_| former_of(&options).unwrap_or_default())
            }
        };
        let mut lifted = None;
        if let Some(former) = former {
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
}
