//! What of a run goes into the history: builds that are complete, cut-overs and roll backs.
//!
//! An operator's run writes it before it takes the migration lock, or after it has released that; a server
//! that starts holds that lock all along. Readers and writers never wait for it.

use serde_json::json;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::report::{CutOver, built};
use crate::lifecycle::BuildState;
use crate::store::{ActiveGeneration, Deed, What};

impl Run {
    /// Records the builds that this run has completed.
    pub(super) async fn record_built(&self, builds: &[Build]) {
        let is_new = |build: &&Build| build.record().state == BuildState::Verified && !build.was_complete;
        let deeds = builds.iter().filter(is_new).map(|build| {
            let built = built(build);
            let details = json!({
                "projection_version": built.projection_version,
                "verified": built.verified,
                "streams": built.streams,
                "snapshots": built.snapshots,
                "failed_streams": built.failed_streams,
                "digest": built.digest,
                "build_seconds": built.build_seconds,
                "partitions_by_host": (!build.hosts.is_empty()).then_some(&build.hosts),
                "postponed": self.request.postpone.then_some(true),
            });
            Deed::new(What::Built, details).of(&built.projection, Some(built.generation))
        });
        self.store.control().record(deeds.collect::<Vec<_>>()).await;
    }

    /// Records a cut-over to these builds, or a roll back.
    pub(super) async fn record_cut_over(&self, what: What, builds: &[Build], cut_over: &CutOver) {
        let mut deeds = Vec::new();
        for build in builds {
            let details = json!({
                "from_generation": self.former(build).await,
                "mode": build.mode,
                "fence": cut_over.fence,
                "fence_reason": cut_over.reason,
                "read_only": cut_over.read_only.then_some(true),
                "fence_ms": cut_over.fence_ms,
                "drain_ms": cut_over.drain_ms,
                "refolded_fenced": cut_over.refolded_fenced,
                "refolded_after": cut_over.refolded_after,
                "tries": cut_over.tries,
                "verified": build.verified,
                "forced": self.request.force.then_some(true),
            });
            deeds.push(deed(what, build, details));
        }
        self.store.control().record(deeds).await;
    }

    /// Records what another process had done to the pointer, before it could record it itself.
    pub(super) async fn record_settled(&self, build: &Build, active: Option<&ActiveGeneration>) {
        let former = active.and_then(|active| active.previous.first()).map(|former| former.generation);
        let what = match former {
            _ if build.record().adopted => What::Adopted,
            Some(former) if former > build.record().generation => What::RolledBack,
            _ => What::CutOver,
        };
        let details = json!({ "from_generation": former, "mode": build.mode, "interrupted": true });
        self.store.control().record([deed(what, build, details)]).await;
    }

    /// The generation that readers used before this one.
    async fn former(&self, build: &Build) -> Option<u32> {
        let active = self.store.control().active(&build.record().projection).await.ok()??;
        active.previous.first().map(|former| former.generation)
    }
}

fn deed(what: What, build: &Build, details: serde_json::Value) -> Deed {
    Deed::new(what, details).of(&build.record().projection, Some(build.record().generation))
}
