//! Where the commits of a shared build come from.

use std::sync::Arc;

use crate::pipeline::{Exchanging, Input, Job};
use crate::store::{BuildStore, EventStore};

/// The input of a build that several processes share: its exchange, or the event store, stream by stream. The
/// job already has the claims of this process.
pub(crate) fn shared_input(job: &Job<EventStore, BuildStore>, memory_bytes: usize) -> Input {
    let Some(partitions) = job.staging.exchanged() else { return Input::Streams };
    let budget = (job.readers, memory_bytes);
    let exchange = Arc::new(job.staging.clone());
    Input::Exchange(Arc::new(Exchanging::new(exchange, &job.projection, &job.layout, &partitions, budget)))
}
