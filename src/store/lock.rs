//! The lock of the version document `Migration/{_id: "Default"}`, taken the way Squidex takes it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bson::{Document, doc};
use mongodb::options::ReturnDocument;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::client::call;
use crate::store::control::MIGRATION;
use crate::store::holder::{Holder, describe, signature};

const VERSION_ID: &str = "Default";

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

/// Owners of the locks that this process holds or is about to take.
static OWNERS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The name an attempt signs with, known as long as this lives: a lock of this process that could not
/// be released (the server was gone) is then told from one that is held.
struct Owner(String);

impl Owner {
    fn new() -> Self {
        // Unique per attempt.
        let owner = bson::oid::ObjectId::new().to_hex();
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.clone());
        Self(owner)
    }

    fn is_alive(owner: &str) -> bool {
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).contains(owner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        OWNERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The held lock. It has to be [released](Lock::release).
pub(crate) struct Lock {
    store: Store,
    owner: Owner,
}

/// Whether nobody can be at work any more under this signature.
fn is_abandoned(signature: &Document) -> bool {
    let owner = signature.get_str("Owner").unwrap_or_default();
    Holder::read(signature)
        .is_some_and(|one| one.is_certainly_dead() || (one.is_me() && !Owner::is_alive(owner)))
}

fn name() -> String {
    format!("{MIGRATION}/{{_id: \"{VERSION_ID}\"}}")
}

impl Store {
    /// Takes the lock, and over from a run of ours that certainly ended.
    ///
    /// # Errors
    /// [`Error::LockHeld`] if somebody else has it.
    pub(crate) async fn lock(&self) -> Result<Lock> {
        let owner = Owner::new();
        let found = self.try_lock(&owner.0, doc! { "$ne": ["$IsLocked", true] }).await?;
        let holder = match self.holder_of(&found, &owner.0) {
            None => return Ok(Lock { store: self.clone(), owner }),
            Some(holder) => holder,
        };
        let dead = holder.as_ref().filter(|signature| is_abandoned(signature));
        if let Some(dead) = dead {
            tracing::warn!(
                holder = describe(Some(dead)),
                "taking the lock over from a run that ended without releasing it"
            );
            let stale = doc! { "$and": [
                { "$eq": ["$IsLocked", true] },
                { "$eq": ["$LockedBy.Owner", { "$literal": dead.get_str("Owner").unwrap_or_default() }] },
            ] };
            let found = self.try_lock(&owner.0, stale).await?;
            if self.holder_of(&found, &owner.0).is_none() {
                return Ok(Lock { store: self.clone(), owner });
            }
        }
        Err(Error::LockHeld { document: name(), holder: describe(holder.as_ref()) })
    }

    /// One conditional step; returns the document after it.
    async fn try_lock(&self, owner: &str, free: Document) -> Result<Document> {
        let taken = |value: Document, former: &str| {
            doc! { "$cond": ["$_take", { "$literal": value }, former] }
        };
        let update = vec![
            doc! { "$set": { "_take": free } },
            doc! { "$set": {
                "IsLocked": { "$or": ["$_take", { "$eq": ["$IsLocked", true] }] },
                "Version": { "$ifNull": ["$Version", 0] },
                "LockedBy": taken(signature(owner), "$LockedBy"),
            } },
            doc! { "$unset": "_take" },
        ];
        let migration = self.collection(MIGRATION);
        let lock = async move {
            migration
                .find_one_and_update(doc! { "_id": VERSION_ID }, update)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        };
        Ok(call("taking the lock", lock).await?.unwrap_or_default())
    }

    /// `None` if the lock is ours, else its signature as far as there is one.
    fn holder_of(&self, document: &Document, owner: &str) -> Option<Option<Document>> {
        let signature = document.get_document("LockedBy").ok();
        let ours = signature.is_some_and(|signature| signature.get_str("Owner").ok() == Some(owner));
        (!ours).then(|| signature.cloned())
    }

    /// What the version document says; `None` if there is none.
    pub(crate) async fn lock_state(&self) -> Result<Option<LockState>> {
        let migration = self.collection(MIGRATION);
        let find = async move { migration.find_one(doc! { "_id": VERSION_ID }).await };
        let found = call("reading the lock", find).await?;
        Ok(found.map(|document| {
            let locked = document.get_bool("IsLocked").unwrap_or(false);
            let holder =
                if locked { describe(document.get_document("LockedBy").ok()) } else { String::new() };
            LockState { locked, holder, document }
        }))
    }

    /// Opens the lock, whoever holds it, if the document is still the one that was shown. Returns
    /// whether it was.
    pub(crate) async fn force_release(&self, shown: &LockState) -> Result<bool> {
        let migration = self.collection(MIGRATION);
        let mut filter = doc! { "_id": VERSION_ID, "IsLocked": true };
        match shown.document.get("LockedBy") {
            Some(signature) => filter.insert("LockedBy", signature.clone()),
            None => filter.insert("LockedBy", doc! { "$exists": false }),
        };
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(filter, update).await };
        Ok(call("releasing the lock", release).await?.matched_count == 1)
    }
}

impl Lock {
    /// Notes the token beside the signature. It is taken under the lock, because taking one fences
    /// whoever works with an older one.
    pub(crate) async fn note_token(&self, token: i64) -> Result<()> {
        let migration = self.store.collection(MIGRATION);
        let filter = doc! { "_id": VERSION_ID, "LockedBy.Owner": &self.owner.0 };
        let note =
            async move { migration.update_one(filter, doc! { "$set": { "LockedBy.Token": token } }).await };
        match call("signing the lock", note).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token, what: "the lock".into() }),
        }
    }

    /// Opens the lock, if it is still ours.
    pub(crate) async fn release(self) -> Result<()> {
        let migration = self.store.collection(MIGRATION);
        let filter = doc! { "_id": VERSION_ID, "LockedBy.Owner": &self.owner.0 };
        let update = doc! { "$set": { "IsLocked": false }, "$unset": { "LockedBy": "" } };
        let release = async move { migration.update_one(filter, update).await };
        if call("releasing the lock", release).await?.matched_count == 0 {
            tracing::warn!("the lock was no longer ours when it was to be released");
        }
        Ok(())
    }
}
