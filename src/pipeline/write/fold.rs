//! Folds batches of commits, and loads what complete streams look up of other projections.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::fold::{Documents, Folded, LookupKey, Lookups, StreamFold};
use crate::pipeline::job::Job;
use crate::pipeline::ports::{Found, RawCommits};
use crate::pipeline::required::Required;

/// What a fold gave so far.
enum Step {
    Folded(Box<Folded>),
    /// Streams wait for these snapshots.
    Missing(Vec<LookupKey>),
}

impl<S, W> Job<S, W> {
    /// An empty set of lookups for a fold.
    pub(super) fn lookups(&self) -> Lookups {
        self.required.as_ref().map_or_else(Lookups::default, Required::lookups)
    }

    /// A fold of this projection that has seen nothing yet.
    pub(super) fn stream_fold(&self) -> StreamFold {
        StreamFold::new(&self.projection, Arc::clone(&self.layout)).with_lookups(self.lookups())
    }

    /// Loads what a fold misses.
    pub(super) async fn load(&self, missing: Vec<LookupKey>) -> Result<Vec<Found>> {
        match &self.required {
            Some(required) => required.load(missing).await,
            None => Ok(Vec::new()),
        }
    }

    /// Folds a batch, or completes the fold if there is none, and takes the results. What complete streams
    /// look up is loaded.
    pub(super) async fn fold_batch(
        &self,
        mut fold: StreamFold,
        batch: Option<Box<dyn RawCommits>>,
    ) -> Result<(StreamFold, Folded)> {
        let step = |fold: &mut StreamFold| {
            let missing = fold.take_missing();
            if missing.is_empty() { Step::Folded(Box::new(fold.take())) } else { Step::Missing(missing) }
        };
        let mut result;
        (fold, result) = self
            .workers
            .run(move || {
                fold.trim();
                let result = push(&mut fold, batch.as_deref()).map(|()| step(&mut fold));
                (fold, result)
            })
            .await?;
        loop {
            match result? {
                Step::Folded(folded) => return Ok((fold, *folded)),
                Step::Missing(missing) => {
                    let found = self.load(missing).await?;
                    (fold, result) = self
                        .workers
                        .run(move || {
                            fold.load(found);
                            let step = step(&mut fold);
                            (fold, Ok(step))
                        })
                        .await?;
                }
            }
        }
    }
}

/// Folds a batch, or completes the fold if there is none.
fn push(fold: &mut StreamFold, batch: Option<&dyn RawCommits>) -> Result<()> {
    let Some(batch) = batch else {
        fold.finish();
        return Ok(());
    };
    for document in Documents::of(batch.documents()?).take(batch.limit()) {
        let document = document.ok_or_else(|| Error::Mismatch("the server sent a broken batch".into()))?;
        fold.push(document);
    }
    Ok(())
}
