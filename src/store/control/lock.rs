//! The migration lock of the version document `Migration/{_id: "Default"}`, taken the way Squidex takes it.
//!
//! It is a courtesy: while it is locked, servers of the application wait. No safety rests on it; that comes
//! from the lease and its token. We sign it with `LockedBy`, and take over only a migration lock with a
//! signature of ours whose token is older than our own, or whose process certainly ended, and that nobody
//! [opened](Control::opened_since) since.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use mongodb::options::ReturnDocument;

use crate::error::{Error, Result};
use crate::store::connection::{Control, Store, call, number_of};
use crate::store::control::holder::{ProcessIdentity, describe, signature};
use crate::store::control::lease::Owner;

/// State of the migration lock, from the version document.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LockState {
    /// Whether it is locked.
    pub locked: bool,
    /// The holder in words; empty if it is free.
    pub holder: String,
    /// The whole document.
    pub document: Document,
}

/// Whether the process of this signature certainly doesn't work any more.
fn is_abandoned(signature: &Document) -> bool {
    let owner = signature.get_str("Owner").unwrap_or_default();
    ProcessIdentity::read(signature)
        .is_some_and(|holder| holder.is_certainly_dead() || (holder.is_me() && !Owner::is_alive(owner)))
}

/// Outcome of an attempt to take the migration lock.
pub(crate) enum LockTaken {
    /// It is ours.
    Ours(Arc<Lock>),
    /// Somebody else holds it: the holder in words.
    Theirs(String),
}

/// The migration lock, held by this process. It has to be [released](Lock::release).
pub(crate) struct Lock {
    store: Store,
    owner: Owner,
    held: AtomicBool,
}

impl Control<'_> {
    /// Collection and id of the version document, for display.
    pub(crate) fn lock_name(self) -> String {
        format!("{}/{{_id: \"{}\"}}", self.store.names.collection, self.store.names.version_id)
    }

    /// Takes the migration lock for the holder of the lease. Takes it over from a run of ours that lost the
    /// lease or certainly ended.
    pub(crate) async fn try_lock(self, token: i64) -> Result<LockTaken> {
        let owner = Owner::new();
        let found = self.lock_if(owner.name(), token, doc! { "$ne": ["$IsLocked", true] }).await?;
        let holder = Holder::of(&found, owner.name());
        if holder == Holder::Us {
            return Ok(self.locked(owner));
        }
        if let Holder::Signed(signature) = &holder {
            let former = signature.get("Token").and_then(number_of);
            // The holder of a newer token leads instead of the one that signed.
            let is_left = former.is_some_and(|former| former < token) || is_abandoned(signature);
            if is_left && self.opened_since(signature).await? == Some(true) {
                // Its holder didn't sign, and the signature is an old one.
                return Ok(LockTaken::Theirs(self.describe(None)));
            }
            if is_left {
                tracing::warn!(
                    holder = self.describe(Some(signature)),
                    "taking the migration lock over from a run that ended without releasing it"
                );
                let theirs = signature.get_str("Owner").unwrap_or_default();
                let stale = doc! { "$and": [
                    { "$eq": ["$IsLocked", true] },
                    { "$eq": ["$LockedBy.Owner", { "$literal": theirs }] },
                ] };
                let found = self.lock_if(owner.name(), token, stale).await?;
                if Holder::of(&found, owner.name()) == Holder::Us {
                    return Ok(self.locked(owner));
                }
            }
        }
        Ok(LockTaken::Theirs(self.describe(holder.signature())))
    }

    fn locked(self, owner: Owner) -> LockTaken {
        LockTaken::Ours(Arc::new(Lock { store: self.store.clone(), owner, held: AtomicBool::new(true) }))
    }

    /// The signer in words, with the deployment if that is another one.
    fn describe(self, signature: Option<&Document>) -> String {
        let mut text = describe(signature);
        let theirs = signature.and_then(|signature| signature.get_str("Deployment").ok());
        if let (Some(theirs), Some(mine)) = (theirs, self.store.deployment.as_deref())
            && theirs != mine
        {
            text.push_str(&format!(
                ", of the deployment {theirs}, which is not this one: this database is a restored copy"
            ));
        }
        text
    }

    /// Locks and signs the version document if `free` holds. Returns the document after the update.
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
        Ok(call("taking the migration lock", lock).await?.unwrap_or_default())
    }

    /// The state of the migration lock; `None` if there is no version document.
    pub(crate) async fn lock_state(self) -> Result<Option<LockState>> {
        let (migration, id) =
            (self.store.collection(&self.store.names.collection), self.store.names.version_id.clone());
        let find = async move { migration.find_one(doc! { "_id": id }).await };
        let found = call("reading the migration lock", find).await?;
        Ok(found.map(|document| {
            let locked = document.get_bool("IsLocked").unwrap_or(false);
            let holder =
                if locked { self.describe(document.get_document("LockedBy").ok()) } else { String::new() };
            LockState { locked, holder, document }
        }))
    }

    /// Opens the migration lock, whoever holds it, if the holder is still the one that was shown, and
    /// records in the control document what was opened, by whom and when. Returns whether it was opened.
    pub(crate) async fn force_release(self, shown: &LockState) -> Result<bool> {
        let migration = self.store.collection(&self.store.names.collection);
        let mut filter = doc! { "_id": &self.store.names.version_id, "IsLocked": true };
        match shown.document.get("LockedBy") {
            Some(signature) => filter.insert("LockedBy", signature.clone()),
            None => filter.insert("LockedBy", doc! { "$exists": false }),
        };
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(filter, update).await };
        let released = call("releasing the migration lock", release).await?.matched_count == 1;
        if released {
            let mut record: Document = doc! { "Document": { "$literal": shown.document.clone() } };
            for (name, value) in ProcessIdentity::me().document() {
                record.insert(name, doc! { "$literal": value });
            }
            let (control, id) =
                (self.store.collection(&self.store.names.collection), self.store.names.control_id.clone());
            // The time of the server, which only a pipeline can refer to.
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

/// Holder of the migration lock, after an attempt to take it.
#[derive(Debug, Clone, PartialEq)]
enum Holder {
    /// The attempt succeeded.
    Us,
    /// A process that signed.
    Signed(Document),
    /// A process that didn't sign: none of ours.
    Unsigned,
}

impl Holder {
    /// The holder according to the version document. `owner`: the name that the attempt signed with.
    fn of(document: &Document, owner: &str) -> Self {
        match document.get_document("LockedBy") {
            Ok(signature) if signature.get_str("Owner").ok() == Some(owner) => Self::Us,
            Ok(signature) => Self::Signed(signature.clone()),
            Err(_) => Self::Unsigned,
        }
    }

    fn signature(&self) -> Option<&Document> {
        match self {
            Self::Signed(signature) => Some(signature),
            Self::Us | Self::Unsigned => None,
        }
    }
}

impl Lock {
    fn ours(&self) -> Document {
        doc! { "_id": &self.store.names.version_id, "LockedBy.Owner": self.owner.name() }
    }

    /// Locks the migration lock again if somebody opened it while we hold it. One that was opened *and* taken
    /// can't be told from ours (Squidex doesn't sign), which is why no safety rests on it.
    pub(crate) async fn keep(&self) -> Result<()> {
        if !self.held.load(Ordering::Relaxed) {
            return Ok(());
        }
        let migration = self.store.collection(&self.store.names.collection);
        let mut opened = self.ours();
        opened.insert("IsLocked", false);
        // The history has to show that it is still the lock of this signature.
        let again = doc! { "$set": { "IsLocked": true, "LockedBy.KeptAt": bson::DateTime::now() } };
        let lock = async move { migration.update_one(opened, again).await };
        if call("keeping the migration lock", lock).await?.matched_count == 1 {
            tracing::warn!("somebody opened the migration lock while this run holds it; it is locked again");
        }
        Ok(())
    }

    /// Advances the application's version, if it still is `from` and the migration lock is ours.
    ///
    /// # Errors
    /// [`Error::LockHeld`] if it isn't.
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

    /// Opens the migration lock if it still is ours. Does nothing when it is called again.
    pub(crate) async fn release(&self) -> Result<()> {
        if !self.held.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let (migration, ours) = (self.store.collection(&self.store.names.collection), self.ours());
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(ours, update).await };
        if call("releasing the migration lock", release).await?.matched_count == 0 {
            tracing::warn!("the migration lock was no longer ours when it was to be released");
        }
        Ok(())
    }
}
