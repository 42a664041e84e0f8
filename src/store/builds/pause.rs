//! `Pause {By, Host, Since, Reason}` in a build's document: set by any process, obeyed by the one that
//! builds.
//!
//! Only whoever pauses and resumes writes it: a run reads it and never writes it, so that a build stays
//! paused when it is resumed by another run.

use bson::{Document, doc};
use futures::TryStreamExt;

use crate::error::Result;
use crate::lifecycle::BuildState;
use crate::store::connection::{Builds, call};
use crate::store::control::ProcessIdentity;
use crate::store::records::{BUILDS, PauseRecord, user};

fn unfinished() -> Document {
    let all = BuildState::ALL.into_iter().filter(|state| state.is_resumable());
    doc! { "$in": all.map(BuildState::name).collect::<Vec<_>>() }
}

impl Builds<'_> {
    /// Pauses an unfinished build. An existing pause is kept. Returns whether the build was unfinished.
    pub(crate) async fn pause(self, id: &str, reason: Option<&str>) -> Result<bool> {
        let me = ProcessIdentity::me().document();
        let set = doc! { "$set": { "Pause": { "$ifNull": ["$Pause", {
            "By": { "$literal": user() }, "Host": { "$literal": me.get("Host").cloned() },
            "Since": "$$NOW", "Reason": { "$literal": reason },
        }] } } };
        self.update_unfinished("pausing the build", id, vec![set]).await
    }

    /// Ends the pause of an unfinished build. Returns whether the build was unfinished.
    pub(crate) async fn resume(self, id: &str) -> Result<bool> {
        self.update_unfinished("resuming the build", id, vec![doc! { "$unset": "Pause" }]).await
    }

    async fn update_unfinished(self, doing: &str, id: &str, change: Vec<Document>) -> Result<bool> {
        let (builds, filter) = (self.store.collection(BUILDS), doc! { "_id": id, "State": unfinished() });
        let update = async move { builds.update_one(filter, change).await };
        Ok(call(doing, update).await?.matched_count == 1)
    }

    /// The pauses of the unfinished builds with this token.
    pub(in crate::store) async fn pauses_of(self, token: i64) -> Result<Vec<PauseRecord>> {
        let builds = self.store.db.collection::<Document>(BUILDS);
        let filter = doc! { "Token": token, "State": unfinished(), "Pause": { "$exists": true } };
        let find = async move {
            let only = doc! { "Pause": 1 };
            builds.find(filter).projection(only).sort(doc! { "_id": 1 }).await?.try_collect::<Vec<_>>().await
        };
        let found: Vec<Document> = call("looking for a pause", find).await?;
        let pause = |build: &Document| build.get_document("Pause").ok().cloned();
        let pauses = found.iter().filter_map(pause).map(bson::deserialize_from_document);
        Ok(pauses.filter_map(std::result::Result::ok).collect())
    }
}
