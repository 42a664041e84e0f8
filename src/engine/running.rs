//! Work on a task of its own, which can be awaited, watched and cancelled.

use std::future::IntoFuture;
use std::pin::Pin;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::run::RebuildReport;
use crate::error::{Error, Result};
use crate::observe::{Progress, Recorder, metric};

/// A rebuild, a migration or another operation on a task of its own. Awaiting it gives the result. Dropping
/// it cancels it; partitions that are built so far are kept for the next run.
#[must_use = "what is dropped is cancelled"]
pub struct Running<T = RebuildReport> {
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
    task: JoinHandle<Result<T>>,
    guard: DropGuard,
}

impl<T: Send + 'static> Running<T> {
    /// Starts work that reports its progress and can be cancelled.
    pub(crate) fn begin<F>(work: impl FnOnce(watch::Sender<Progress>, CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        metric::describe();
        metric::exist(&[]);
        let (sender, progress) = watch::channel(Progress::default());
        let cancel = CancellationToken::new();
        let (working, done) = (work(sender.clone(), cancel.clone()), sender);
        let task = tokio::spawn(async move {
            let result = working.await;
            match &result {
                Ok(_) => Recorder::ready(&done),
                Err(_) => Recorder::failed(&done),
            }
            result
        });
        Self { progress, guard: cancel.clone().drop_guard(), cancel, task }
    }

    /// The progress; it changes with every batch.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Token that stops the work when it is cancelled; the work then ends with [`Error::Interrupted`].
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl<T: Send + 'static> IntoFuture for Running<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { task, guard, .. } = self;
            let result = task.await.map_err(|error| Error::Bug(error.to_string()));
            // The task has ended: nothing is left to cancel.
            let _ = guard.disarm();
            result?
        })
    }
}
