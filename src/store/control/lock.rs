//! The lock of the version document `Migration/{_id: "Default"}`, taken the way Squidex takes it.
//!
//! It is a courtesy: while it is locked, servers of the application wait. No safety rests on it; that
//! comes from the lease and its token. Beside it we sign with `LockedBy`, and only what is signed with
//! a token of ours that is older than our own is ever taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use mongodb::options::ReturnDocument;

use crate::error::{Error, Result};
use crate::store::connection::{Control, Store, call, number_of};
use crate::store::control::holder::{ProcessIdentity, describe, signature};
use crate::store::control::lease::Owner;

/// What the version document says.
#[derive(Debug, Clone, PartialEq)]
pub struct LockState {
    /// Whether it is locked.
    pub locked: bool,
    /// Who holds it, in words; empty if nobody does.
    pub holder: String,
    /// The whole document.
    pub document: Document,
}

/// Whether nobody can be at work any more under this signature.
fn is_abandoned(signature: &Document) -> bool {
    let owner = signature.get_str("Owner").unwrap_or_default();
    ProcessIdentity::read(signature)
        .is_some_and(|one| one.is_certainly_dead() || (one.is_me() && !Owner::is_alive(owner)))
}

/// An attempt to take the lock.
pub(crate) enum LockTaken {
    /// It is ours.
    Ours(Arc<Lock>),
    /// Somebody else holds it: who, in words.
    Theirs(String),
}

/// The held lock. It has to be [released](Lock::release).
pub(crate) struct Lock {
    store: Store,
    owner: Owner,
    held: AtomicBool,
}

impl Control<'_> {
    /// Collection and id of the version document, as shown.
    pub(crate) fn lock_name(self) -> String {
        format!("{}/{{_id: \"{}\"}}", self.store.names.collection, self.store.names.version_id)
    }

    /// Takes the lock for the holder of the lease, and over from a run of ours that lost the lease or
    /// certainly ended.
    pub(crate) async fn try_lock(self, token: i64) -> Result<LockTaken> {
        let owner = Owner::new();
        let found = self.lock_if(owner.name(), token, doc! { "$ne": ["$IsLocked", true] }).await?;
        let Some(holder) = holder_unless(&found, owner.name()) else { return Ok(self.locked(owner)) };
        if let Some(signature) = holder.as_ref() {
            let former = signature.get("Token").and_then(number_of);
            // Whoever took a newer token than that leads instead of it.
            if former.is_some_and(|former| former < token) || is_abandoned(signature) {
                tracing::warn!(
                    holder = self.describe(Some(signature)),
                    "taking the lock over from a run that ended without releasing it"
                );
                let theirs = signature.get_str("Owner").unwrap_or_default();
                let stale = doc! { "$and": [
                    { "$eq": ["$IsLocked", true] },
                    { "$eq": ["$LockedBy.Owner", { "$literal": theirs }] },
                ] };
                let found = self.lock_if(owner.name(), token, stale).await?;
                if holder_unless(&found, owner.name()).is_none() {
                    return Ok(self.locked(owner));
                }
            }
        }
        Ok(LockTaken::Theirs(self.describe(holder.as_ref())))
    }

    fn locked(self, owner: Owner) -> LockTaken {
        LockTaken::Ours(Arc::new(Lock { store: self.store.clone(), owner, held: AtomicBool::new(true) }))
    }

    /// Who signed, in words; a signature of another deployment is named as such.
    fn describe(self, signature: Option<&Document>) -> String {
        let mut text = describe(signature);
        let theirs = signature.and_then(|one| one.get_str("Deployment").ok());
        if let (Some(theirs), Some(mine)) = (theirs, self.store.deployment.as_deref())
            && theirs != mine
        {
            text.push_str(&format!(
                ", of the deployment {theirs}, which is not this one: this database is a restored copy"
            ));
        }
        text
    }

    /// One conditional step; returns the document after it.
    async fn lock_if(self, owner: &str, token: i64, free: Document) -> Result<Document> {
        let mut signature = signature(owner, token);
        if let Some(deployment) = &self.store.deployment {
            signature.insert("Deployment", deployment);
        }
        let update = vec![
            doc! { "$set": { "_take": free } },
            doc! { "$set": {
                "IsLocked": { "$or": ["$_take", { "$eq": ["$IsLocked", true] }] },
                "Version": { "$ifNull": ["$Version", 0] },
                "LockedBy": { "$cond": ["$_take", { "$literal": signature }, "$LockedBy"] },
            } },
            doc! { "$unset": "_take" },
        ];
        let (migration, id) =
            (self.store.collection(&self.store.names.collection), self.store.names.version_id.clone());
        let lock = async move {
            migration
                .find_one_and_update(doc! { "_id": id }, update)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        };
        Ok(call("taking the lock", lock).await?.unwrap_or_default())
    }

    /// What the version document says; `None` if there is none.
    pub(crate) async fn lock_state(self) -> Result<Option<LockState>> {
        let (migration, id) =
            (self.store.collection(&self.store.names.collection), self.store.names.version_id.clone());
        let find = async move { migration.find_one(doc! { "_id": id }).await };
        let found = call("reading the lock", find).await?;
        Ok(found.map(|document| {
            let locked = document.get_bool("IsLocked").unwrap_or(false);
            let holder =
                if locked { self.describe(document.get_document("LockedBy").ok()) } else { String::new() };
            LockState { locked, holder, document }
        }))
    }

    /// Opens the lock, whoever holds it, if the document is still the one that was shown, and records
    /// in the control document what was opened, by whom and when. Returns whether it was.
    pub(crate) async fn force_release(self, shown: &LockState) -> Result<bool> {
        let migration = self.store.collection(&self.store.names.collection);
        let mut filter = doc! { "_id": &self.store.names.version_id, "IsLocked": true };
        match shown.document.get("LockedBy") {
            Some(signature) => filter.insert("LockedBy", signature.clone()),
            None => filter.insert("LockedBy", doc! { "$exists": false }),
        };
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(filter, update).await };
        let released = call("releasing the lock", release).await?.matched_count == 1;
        if released {
            let mut record: Document = doc! { "Document": { "$literal": shown.document.clone() } };
            for (name, value) in ProcessIdentity::me().document() {
                record.insert(name, doc! { "$literal": value });
            }
            let (control, id) =
                (self.store.collection(&self.store.names.collection), self.store.names.control_id.clone());
            // The time is the server's: a pipeline knows it.
            record.insert("At", "$$NOW");
            let note = vec![doc! { "$set": { "ForcedRelease": record } }];
            let record = async move { control.update_one(doc! { "_id": id }, note).upsert(true).await };
            call("recording the release", record).await?;
        }
        Ok(released)
    }

    /// The application's version, 0 if there is none.
    pub(crate) async fn application_version(self) -> Result<i32> {
        let state = self.lock_state().await?;
        let version = state.as_ref().and_then(|state| state.document.get("Version")).and_then(number_of);
        Ok(version.and_then(|version| i32::try_from(version).ok()).unwrap_or(0))
    }
}

/// `None` if the lock is that owner's, else its signature as far as there is one.
#[expect(clippy::option_option, reason = "nobody, somebody unknown, somebody")]
fn holder_unless(document: &Document, owner: &str) -> Option<Option<Document>> {
    let signature = document.get_document("LockedBy").ok();
    let ours = signature.is_some_and(|signature| signature.get_str("Owner").ok() == Some(owner));
    (!ours).then(|| signature.cloned())
}

impl Lock {
    fn ours(&self) -> Document {
        doc! { "_id": &self.store.names.version_id, "LockedBy.Owner": self.owner.name() }
    }

    /// Locks again what somebody opened while we hold it. A lock that was opened *and* taken can't be
    /// told from ours (Squidex signs nothing), which is why nothing rests on it.
    pub(crate) async fn keep(&self) -> Result<()> {
        if !self.held.load(Ordering::Relaxed) {
            return Ok(());
        }
        let migration = self.store.collection(&self.store.names.collection);
        let mut opened = self.ours();
        opened.insert("IsLocked", false);
        let lock = async move { migration.update_one(opened, doc! { "$set": { "IsLocked": true } }).await };
        if call("keeping the lock", lock).await?.matched_count == 1 {
            tracing::warn!("somebody opened the lock while this run holds it; it is locked again");
        }
        Ok(())
    }

    /// Moves the application's version on, if it is still that one and the lock is ours.
    ///
    /// # Errors
    /// [`Error::LockHeld`] if it isn't any more.
    pub(crate) async fn move_version(&self, from: i32, to: i32) -> Result<()> {
        let migration = self.store.collection(&self.store.names.collection);
        let mut filter = self.ours();
        filter.extend(doc! { "IsLocked": true, "Version": from });
        let update = doc! { "$set": { "Version": to } };
        let moved = async move { migration.update_one(filter, update).await };
        if call("moving the version", moved).await?.matched_count == 1 {
            return Ok(());
        }
        let holder = format!("by somebody else, or its version is no longer {from}");
        Err(Error::LockHeld { document: self.store.control().lock_name(), holder })
    }

    /// Opens the lock, if it is still ours; once.
    pub(crate) async fn release(&self) -> Result<()> {
        if !self.held.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let (migration, ours) = (self.store.collection(&self.store.names.collection), self.ours());
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(ours, update).await };
        if call("releasing the lock", release).await?.matched_count == 0 {
            tracing::warn!("the lock was no longer ours when it was to be released");
        }
        Ok(())
    }
}
