//! The lease in the control document: taken, renewed, released, each by one conditional majority write.
//!
//! `Lease {Owner, Host, Pid, Process, Version, Deployment, Since, At, Beat, Doing}` exists while a process
//! holds the lease; `LeaseToken` is never removed and only grows. The owner is unique per attempt, so that
//! a write whose outcome is unknown can be sent again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::options::{ReadPreference, ReturnDocument, SelectionCriteria};

use crate::error::{Error, Result};
use crate::lifecycle::Beat;
use crate::observe::{Doing, Leader};
use crate::store::connection::{Control, FORMAT, call, call_within, check_format, number_of};
use crate::store::control::holder::{ProcessIdentity, describe_time};

/// Names of the live attempts of this process.
static OWNERS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The name an attempt signs with. It is registered until this is dropped, so that a lease or migration
/// lock that this process couldn't release (the server was unreachable) is distinguished from one it holds.
#[derive(Debug)]
pub(crate) struct Owner(String);

impl Owner {
    /// A new, unique name.
    pub(crate) fn new() -> Self {
        let owner = bson::oid::ObjectId::new().to_hex();
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.clone());
        Self(owner)
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    pub(in crate::store) fn is_alive(owner: &str) -> bool {
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).contains(owner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A held lease, as read from the control document.
#[derive(Debug, Clone)]
pub(crate) struct LeaseHolder {
    pub(crate) beat: Beat,
    pub(crate) leader: Leader,
    holder: Option<ProcessIdentity>,
}

impl LeaseHolder {
    fn read(control: &Document, mine: Option<&str>) -> Option<Self> {
        let lease = control.get_document("Lease").ok()?;
        let token = control.get("LeaseToken").and_then(number_of).unwrap_or(0);
        let beat = lease.get("Beat").and_then(number_of).unwrap_or(0);
        let text = |name: &str| lease.get_str(name).unwrap_or_default().to_owned();
        let deployment = lease.get_str("Deployment").ok().map(str::to_owned);
        let ago = match (lease.get_datetime("At"), control.get_datetime("Now")) {
            (Ok(at), Ok(now)) => now.timestamp_millis().saturating_sub(at.timestamp_millis()),
            _ => 0,
        };
        let leader = Leader {
            owner: text("Owner"),
            host: text("Host"),
            pid: lease.get("Pid").and_then(number_of).and_then(|pid| u32::try_from(pid).ok()),
            version: text("Version"),
            token,
            beat,
            since: describe_time(lease, "Since"),
            last_beat_seconds: Duration::from_millis(u64::try_from(ago).unwrap_or(0)).as_secs_f64(),
            foreign: matches!((&deployment, mine), (Some(theirs), Some(mine)) if theirs != mine),
            deployment,
            doing: lease.get_document("Doing").map(doing_of).unwrap_or_default(),
        };
        Some(Self { beat: Beat { token, beat }, leader, holder: ProcessIdentity::read(lease) })
    }

    /// Whether the holder certainly doesn't lead any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| {
            holder.is_certainly_dead() || (holder.is_me() && !Owner::is_alive(&self.leader.owner))
        })
    }

    /// Whether the holder is at work, as far as can be told: one that died keeps the lease for a while.
    pub(crate) fn is_at_work(&self, ttl: Duration) -> bool {
        !self.is_abandoned() && self.leader.last_beat_seconds <= ttl.as_secs_f64()
    }
}

fn doing_of(document: &Document) -> Doing {
    let number = |name: &str| document.get(name).and_then(number_of);
    let text = |name: &str| document.get_str(name).unwrap_or_default().to_owned();
    let count = |name: &str| number(name).and_then(|count| u64::try_from(count).ok());
    Doing {
        projection: text("Projection"),
        phase: text("Phase"),
        percent: number("Percent").and_then(|percent| u8::try_from(percent).ok()).unwrap_or(0),
        commits: count("Commits").unwrap_or(0),
        commits_planned: count("CommitsPlanned").unwrap_or(0),
        eta_seconds: count("EtaSeconds"),
        held: document.get_str("Held").ok().map(str::to_owned),
    }
}

fn doing_document(doing: &Doing) -> Document {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    doc! {
        "Projection": &doing.projection, "Phase": &doing.phase, "Percent": i32::from(doing.percent),
        "Commits": signed(doing.commits), "CommitsPlanned": signed(doing.commits_planned),
        "EtaSeconds": doing.eta_seconds.map(signed), "Held": doing.held.as_ref(),
    }
}

/// Outcome of an attempt to take the lease.
#[derive(Debug)]
pub(crate) enum LeaseTaken {
    /// It is ours, with this token.
    Ours(i64),
    /// Somebody else was faster.
    Theirs,
}

impl Control<'_> {
    /// The control document, with the server's time in `Now`; from the primary, whatever the URI says.
    pub(in crate::store) async fn document(self) -> Result<Option<Document>> {
        let control = self.store.collection(&self.store.names.collection);
        let pipeline =
            [doc! { "$match": { "_id": &self.store.names.control_id } }, doc! { "$set": { "Now": "$$NOW" } }];
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let find =
            async move { control.aggregate(pipeline).selection_criteria(primary).await?.try_next().await };
        let Some(document) = call("reading the control document", find).await? else { return Ok(None) };
        check_format(&document, "the control document")?;
        Ok(Some(document))
    }

    /// The lease, if somebody holds it.
    ///
    /// # Errors
    /// [`Error::Newer`] if a newer statefold wrote the control document.
    pub(crate) async fn lease(self) -> Result<Option<LeaseHolder>> {
        let control = self.document().await?;
        Ok(control.as_ref().and_then(|control| LeaseHolder::read(control, self.store.deployment.as_deref())))
    }

    /// Takes the lease if nobody holds it, or if its beat still is `over`.
    pub(crate) async fn take_lease(self, owner: &Owner, over: Option<Beat>) -> Result<LeaseTaken> {
        let mut free = vec![Bson::from(doc! { "$eq": [{ "$type": "$Lease" }, "missing"] })];
        if let Some(Beat { token, beat }) = over {
            free.push(
                doc! { "$and": [{ "$eq": ["$LeaseToken", token] }, { "$eq": ["$Lease.Beat", beat] }] }.into(),
            );
        }
        let mut lease = doc! { "Owner": { "$literal": owner.name() } };
        for (name, value) in ProcessIdentity::me().document() {
            lease.insert(name, doc! { "$literal": value });
        }
        lease.insert("Version", env!("CARGO_PKG_VERSION"));
        if let Some(deployment) = &self.store.deployment {
            lease.insert("Deployment", doc! { "$literal": deployment });
        }
        lease.extend(doc! { "Since": "$$NOW", "At": "$$NOW", "Beat": 0_i64 });
        let next = doc! { "$add": [{ "$ifNull": ["$LeaseToken", 0_i64] }, 1_i64] };
        let update = vec![
            doc! { "$set": { "_take": { "$or": free } } },
            doc! { "$set": {
                "Format": { "$ifNull": ["$Format", FORMAT] },
                "LeaseToken": { "$cond": ["$_take", next, "$LeaseToken"] },
                "Lease": { "$cond": ["$_take", lease, "$Lease"] },
            } },
            doc! { "$unset": "_take" },
        ];
        let (control, id) =
            (self.store.collection(&self.store.names.collection), self.store.names.control_id.clone());
        let take = async move {
            control
                .find_one_and_update(doc! { "_id": id }, update)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        };
        let document = call("taking the lease", take).await?.unwrap_or_default();
        let held = document.get_document("Lease").ok().and_then(|lease| lease.get_str("Owner").ok());
        if held != Some(owner.name()) {
            return Ok(LeaseTaken::Theirs);
        }
        document.get_i64("LeaseToken").map(LeaseTaken::Ours).map_err(|_| {
            Error::Unsupported("`LeaseToken` of the control document is not a 64-bit integer".into())
        })
    }

    fn held_by(self, owner: &Owner, token: i64) -> Document {
        doc! { "_id": &self.store.names.control_id, "Lease.Owner": owner.name(), "LeaseToken": token }
    }

    /// Renews the lease within so many seconds. Returns whether it was still ours.
    pub(crate) async fn renew_lease(
        self,
        owner: &Owner,
        token: i64,
        doing: &Doing,
        seconds: u64,
    ) -> Result<bool> {
        let control = self.store.collection(&self.store.names.collection);
        let filter = self.held_by(owner, token);
        let update = doc! {
            "$inc": { "Lease.Beat": 1_i64 }, "$currentDate": { "Lease.At": true },
            "$set": { "Lease.Doing": doing_document(doing) },
        };
        let renew = async move { control.update_one(filter, update).await };
        Ok(call_within(seconds, "renewing the lease", renew).await?.matched_count == 1)
    }

    /// Releases the lease. Returns whether it was still ours.
    pub(crate) async fn release_lease(self, owner: &Owner, token: i64) -> Result<bool> {
        let control = self.store.collection(&self.store.names.collection);
        let filter = self.held_by(owner, token);
        let release = async move {
            control.update_one(filter, doc! { "$unset": { "Lease": "", "Sessions": "" } }).await
        };
        Ok(call("releasing the lease", release).await?.matched_count == 1)
    }
}
