//! Records what is written, from a change stream.

use std::time::Instant;

use bson::Document;
use futures::StreamExt;
use mongodb::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::history::History;

/// What was seen besides the history.
#[derive(Default)]
pub(crate) struct Seen {
    /// Changes.
    pub(crate) writes: usize,
    /// Tokens, and when they were handed out.
    pub(crate) tokens: Vec<(i64, Instant)>,
    /// Tokens that were handed out while the lease had not been given back.
    pub(crate) takeovers: usize,
}

/// A recording at work.
pub(crate) struct Recording {
    stop: CancellationToken,
    task: JoinHandle<Result<(History, Seen)>>,
}

impl Recording {
    /// Begins before anything is written.
    pub(crate) async fn start(db: &Database) -> Result<Self> {
        let mut changes = db.watch().pipeline(History::pipeline()).await?.with_type::<Document>();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut history, mut seen, mut free) = (History::default(), Seen::default(), true);
            loop {
                let change = tokio::select! {
                    change = changes.next() => change,
                    () = stopped.cancelled() => None,
                };
                let Some(change) = change.transpose()? else { return Ok((history, seen)) };
                seen.writes += 1;
                let removed =
                    change.get_document("updateDescription").and_then(|it| it.get_array("removedFields"));
                free |=
                    removed.is_ok_and(|removed| removed.iter().any(|name| name.as_str() == Some("Lease")));
                if let Some(token) = history.push(&change) {
                    seen.tokens.push((token, Instant::now()));
                    seen.takeovers += usize::from(!free);
                    free = false;
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// Ends it, once everything written until now was seen.
    pub(crate) async fn end(self) -> Result<(History, Seen)> {
        // Changes arrive within moments; whatever is late is not part of the last round's work.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        self.stop.cancel();
        self.task.await?
    }
}
