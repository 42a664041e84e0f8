//! Writes folded snapshots in batches, capped by documents and bytes.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::fold::Folded;
use crate::pipeline::job::Job;
use crate::pipeline::ports::{EventSource, SnapshotSink, Term};

/// Bytes of a document in a command besides its own: its type and its number.
const PLACE_BYTES: usize = 8;

/// Writes snapshots as they arrive, and returns the terms in which they were written, each once.
pub(in crate::pipeline) async fn write<S: EventSource, W: SnapshotSink>(
    job: Arc<Job<S, W>>,
    mut folded: mpsc::Receiver<Folded>,
    again: bool,
) -> Result<Vec<Term>> {
    let mut terms = Vec::new();
    while let Some(folded) = folded.recv().await {
        for (target, buffer) in folded.snapshots.targets().iter().enumerate() {
            let mut documents = buffer.documents().peekable();
            while documents.peek().is_some() {
                let (mut batch, mut bytes) = (Vec::new(), 0);
                while let Some(document) = documents.next_if(|document| {
                    let size = document.len() + PLACE_BYTES;
                    batch.is_empty() || batch.len() < job.batch_docs && bytes + size <= job.batch_bytes
                }) {
                    bytes += document.len() + PLACE_BYTES;
                    batch.push(document);
                }
                job.governor.write().await?;
                if job.cancel.is_cancelled() {
                    return Err(Error::Interrupted);
                }
                let began = Instant::now();
                let term = job.staging.insert(target, &batch, again).await?;
                let took = began.elapsed();
                job.governor.written(took);
                job.progress.written(batch.len() as u64, took);
                if !terms.contains(&term) {
                    terms.push(term);
                }
            }
        }
    }
    Ok(terms)
}
