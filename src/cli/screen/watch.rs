//! Progress, metrics and signals of the verbs that work for a while.

use std::time::Duration;

use tokio::sync::watch;

use crate::cli::screen::metrics::Served;
use crate::cli::screen::output::Output;
use crate::cli::screen::{metrics, progress, signals};
use crate::engine::running::Running;
use crate::error::Result;
use crate::observe::Progress;

/// Begins the work, shows it until it ends, and stops it at a signal.
///
/// # Errors
/// That of the work, or that the address can't be listened on.
pub(in crate::cli) async fn watched<T: Send + 'static>(
    begin: impl FnOnce() -> Running<T>,
    served: Option<Served>,
    interval: Duration,
    output: &Output,
) -> Result<T> {
    // The recorder has to be there before the first metric.
    let (sender, health) = watch::channel(Progress::default());
    if let Some(served) = served {
        metrics::listen(served, health, output).await?;
    }
    let running = begin();
    signals::cancel_on_signal(running.cancellation(), running.progress(), output.lift());
    let forward = tokio::spawn(forward(running.progress(), sender));
    let shown = progress::show(running.progress(), interval);
    let result = running.await;
    drop(shown);
    let _ = forward.await;
    result
}

async fn forward(mut progress: watch::Receiver<Progress>, to: watch::Sender<Progress>) {
    while progress.changed().await.is_ok() {
        to.send_replace(progress.borrow_and_update().clone());
    }
}
