//! Protection of the live system: when a run is refused for lack of capacity.

use statefold_projections::Registered;

use crate::engine::capacity::capacity_plan;
use crate::engine::pass::Survey;
use crate::engine::run::context::Run;
use crate::engine::run::request::Caller;
use crate::error::{Error, Insistence, Result};
use crate::lifecycle::BuildState;
use crate::store::BuildRecord;

impl Run {
    /// Refuses an operator's builds that may not fit on the disk or in the oplog; a server that starts only
    /// logs a warning. Builds that are begun already continue.
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
            return Err(Error::Refused { reasons: capacity.shortages, unless: Insistence::IgnoreMargin });
        }
        for shortage in &capacity.shortages {
            tracing::warn!(shortage, "the build may not fit");
        }
        Ok(())
    }
}
