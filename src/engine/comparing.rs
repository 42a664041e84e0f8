//! Compares a followed generation with a fold of every stream, beside the refolding of others.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::pass::{FEW_COMMITS, Survey};
use crate::engine::verify::{Comparison, Subject};
use crate::error::Result;
use crate::lifecycle::Share;
use crate::observe::Progress;
use crate::pipeline::{Governor, Workers};
use crate::store::{Store, StreamIndex};

/// The comparison of one generation.
pub(crate) struct Comparing {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) stream_index: StreamIndex,
    pub(crate) workers: Arc<Workers>,
    pub(crate) cancel: CancellationToken,
    /// Name of the generation, for the log.
    pub(crate) name: String,
    /// Without an estimate.
    pub(crate) subject: Subject,
}

impl Comparing {
    /// Returns the streams that may differ. What each stream looks up of other projections is known
    /// afterwards, unless more streams may differ than are returned.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`]; what the server said.
    pub(crate) async fn run(self) -> Result<Vec<String>> {
        let Self { store, settings, stream_index, workers, cancel, name, mut subject } = self;
        tracing::info!(build = name, "folding every stream once more: what they looked up isn't known");
        let now = store.operation_time().await?;
        let events = store.events().source(stream_index.clone(), now, settings.tuning().batch_commits);
        let projections = std::slice::from_ref(&subject.projection);
        let many = events.estimated_count().await? > FEW_COMMITS;
        let survey = Survey::of(&events, projections, settings.tuning(), many.then_some(&*workers)).await?;
        subject.estimate = survey.estimates.first().copied().unwrap_or_default();
        let required = subject.required.clone();
        if let Some(required) = &required {
            required.begin();
        }
        let progress = watch::Sender::new(Progress::default());
        let comparison = Comparison {
            store: &store,
            settings: &settings,
            stream_index,
            workers: &workers,
            progress: &progress,
            cancel: &cancel,
            governor: Governor::free(),
            share: Share::ALL,
        };
        let outcomes = comparison.run(&[subject], &survey).await?;
        let suspects = outcomes.into_iter().next().map(|outcome| outcome.suspects).unwrap_or_default();
        if let Some(required) = required.filter(|_| suspects.more > 0) {
            required.forget();
        }
        Ok(suspects.streams.into_iter().collect())
    }
}
