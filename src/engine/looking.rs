//! What the database says, for the metrics: whichever process did it, every one that runs shows it, those
//! that wait included.

use std::convert::Infallible;
use std::time::Duration;

use statefold_projections::Registered;

use crate::config::Settings;
use crate::error::Result;
use crate::observe::Known;
use crate::store::{FenceKind, Store};

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// How long the last look may take.
const LAST_MAX: Duration = Duration::from_secs(1);

/// Works, and meanwhile shows what the database says of these projections, if the settings ask for it; once
/// more when the work is done.
pub(crate) async fn while_looking<T>(
    store: &Store,
    settings: &Settings,
    projections: &[Registered],
    work: impl Future<Output = T>,
) -> T {
    if !settings.has_database_metrics() {
        return work.await;
    }
    let result = tokio::select! {
        result = work => result,
        never = look_forever(store, projections) => match never {},
    };
    let _ = tokio::time::timeout(LAST_MAX, look(store, projections)).await;
    result
}

async fn look_forever(store: &Store, projections: &[Registered]) -> Infallible {
    loop {
        if let Err(error) = look(store, projections).await {
            tracing::debug!(error = %error.with_sources(), "what the database says can't be shown");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(store: &Store, projections: &[Registered]) -> Result<()> {
    let names: Vec<&str> = projections.iter().map(|projection| projection.spec().name()).collect();
    let verified = store.builds().last_verified().await?;
    for (name, active) in names.iter().zip(store.control().pointers(&names).await?) {
        let known = active.map(|active| {
            let last = verified.get(&((*name).to_owned(), active.active)).copied().unwrap_or_default();
            Known {
                active: active.active,
                since_seconds: active.since.time,
                verified_seconds: last.at_seconds,
                differences: last.differences,
            }
        });
        known.unwrap_or_default().show(name);
    }
    let fence = store.control().fence().await?.filter(|fence| fence.kind == FenceKind::ReadOnly);
    Known::show_read_only(fence.map_or(0.0, |fence| fence.since_seconds()));
    Ok(())
}
