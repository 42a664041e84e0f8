//! The bridge from asynchronous tasks to the threads that compute.

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A pool of threads for folding.
pub(crate) struct Workers(rayon::ThreadPool);

impl Workers {
    /// A pool of this many threads.
    ///
    /// # Errors
    /// [`Error::Bug`] if the system gives no threads.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|at| format!("fold-{at}"))
            .build()
            .map_err(|error| Error::Bug(format!("no threads to fold on: {error}")))?;
        Ok(Self(pool))
    }

    /// Drops something large on the pool, without waiting for it.
    pub(crate) fn discard<T: Send + 'static>(&self, large: T) {
        self.0.spawn(move || drop(large));
    }

    /// Runs `work` on the pool and waits for its result.
    ///
    /// # Errors
    /// [`Error::Bug`] if it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // Nobody waits any more if the build was cancelled.
            let _ = sender.send(result);
        });
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(Error::Bug(format!("a projection panicked: {text}")))
            }
            Err(_) => Err(Error::Bug("a fold thread ended without a result".into())),
        }
    }
}
