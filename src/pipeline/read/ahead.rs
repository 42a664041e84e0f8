//! Reads ahead: the next batch is on its way while this one is worked on.

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Batches waiting between two stages: one being worked on, one ready.
const BATCHES_WAITING: usize = 1;

/// Batches that a task of its own reads.
pub(in crate::pipeline) struct Ahead<T> {
    batches: mpsc::Receiver<Result<T>>,
    reader: JoinHandle<()>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Begins to read.
    pub(in crate::pipeline) fn of(mut stream: BoxStream<'static, Result<T>>) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let reader = tokio::spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Self { batches, reader }
    }

    /// The next batch; `None` behind the last one.
    pub(in crate::pipeline) async fn next(&mut self) -> Result<Option<T>> {
        self.batches.recv().await.transpose()
    }

    /// Stops reading, and waits until that has ended.
    ///
    /// # Errors
    /// [`Error::Bug`] if reading panicked.
    pub(in crate::pipeline) async fn end(self) -> Result<()> {
        let Self { batches, reader } = self;
        drop(batches);
        reader.await.map_err(|error| Error::Bug(error.to_string()))
    }
}
