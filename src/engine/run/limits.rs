//! Making way for the live system: what holds a run, and what it doesn't begin.

use std::sync::Arc;

use statefold_projections::Registered;
use tokio::sync::watch;

use crate::config::Settings;
use crate::engine::capacity::capacity_plan;
use crate::engine::leader::Leadership;
use crate::engine::pass::Survey;
use crate::engine::run::context::{Caller, Run};
use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::Progress;
use crate::pipeline::Governor;
use crate::store::{BuildRecord, RunThrottle, Store};

/// What holds the run of this leader.
pub(crate) fn govern(
    store: &Store,
    settings: &Settings,
    leadership: &Leadership,
    progress: &watch::Sender<Progress>,
) -> Governor {
    let politeness = settings.throttle();
    let holds = Arc::new(RunThrottle::new(store, leadership.mandate.token, politeness.max_lag));
    Governor::new(holds, politeness.throttle, progress.clone(), leadership.cancel.clone())
}

impl Run {
    /// Refuses to begin what may not fit, by hand; a server that starts is only warned. What is begun goes
    /// on.
    pub(super) async fn refuse_shortage(&self, selected: &[Registered], survey: &Survey) -> Result<()> {
        let mut building = Vec::new();
        for (projection, estimate) in selected.iter().zip(&survey.estimates) {
            let records = self.store.builds().records(Some(projection.spec().name())).await?;
            let is_begun = |record: &BuildRecord| {
                record.state == BuildState::Published || (!self.request.fresh && record.state.is_resumable())
            };
            if !records.iter().any(is_begun) {
                building.push((projection, estimate));
            }
        }
        if building.is_empty() {
            return Ok(());
        }
        let (capacity, notes) = capacity_plan(&self.store, &building).await;
        for note in notes {
            tracing::debug!(note);
        }
        let refused = self.caller == Caller::Operator && !self.settings.throttle().ignore_margin;
        if refused && !capacity.shortages.is_empty() {
            return Err(Error::Refused { reasons: capacity.shortages, unless: "--ignore-margin" });
        }
        for shortage in &capacity.shortages {
            tracing::warn!(shortage, "the build may not fit");
        }
        Ok(())
    }
}
