//! Natural order that processes share: each reads parts of it, and hands the commits over, in compressed
//! frames by partition, to whoever folds them.

use std::sync::Arc;

use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{Route, Router};
use crate::pipeline::memory::Memory;
use crate::pipeline::ports::Exchange;
use crate::pipeline::read::slice::FrameFold;
use crate::pipeline::read::spill::{Buffers, FRAME_BYTES};
use crate::plan::{Partition, StreamRange};

/// Divisor of the memory budget: the share that buffers may take before their frames are handed over.
const BUFFERS: usize = 8;

/// An exchange, with what is needed to read for it and to fold from it.
pub(crate) struct Exchanging {
    exchange: Arc<dyn Exchange>,
    projection: Registered,
    layout: Arc<Layout>,
    /// Numbers of its partitions, in the order of their ranges.
    partitions: Vec<u32>,
    ranges: Vec<StreamRange>,
    router: Arc<Router>,
    memory: Arc<Memory>,
    readers: usize,
}

impl Exchanging {
    /// An exchange of these partitions, for so many readers that share a memory budget, in bytes.
    pub(crate) fn new(
        exchange: Arc<dyn Exchange>,
        projection: &Registered,
        layout: &Arc<Layout>,
        partitions: &[Partition],
        (readers, memory_bytes): (usize, usize),
    ) -> Self {
        let ranges: Vec<StreamRange> = partitions.iter().map(|partition| partition.range.clone()).collect();
        let names = ranges.iter().map(|range| (range.first.clone(), range.end.clone())).collect();
        let route = Route::new(projection.spec().stream_filter().clone(), names, true);
        Self {
            exchange,
            projection: projection.clone(),
            layout: Arc::clone(layout),
            partitions: partitions.iter().map(|partition| partition.number).collect(),
            router: Arc::new(Router::new(vec![route], Arc::clone(layout))),
            memory: Arc::new(Memory::new(ranges.len(), memory_bytes)),
            ranges,
            readers: readers.max(1),
        }
    }

    /// Where the frames are.
    pub(in crate::pipeline) fn exchange(&self) -> &dyn Exchange {
        &*self.exchange
    }

    /// The surroundings for folding a partition's frames.
    ///
    /// # Errors
    /// [`Error::Bug`] if the exchange is of other partitions.
    pub(in crate::pipeline) fn fold(&self, cancel: &CancellationToken, partition: u32) -> Result<FrameFold> {
        let user = self.partitions.iter().position(|number| *number == partition);
        let user = user.ok_or_else(|| Error::Bug(format!("partition {partition} is in no exchange")))?;
        Ok(FrameFold {
            projection: self.projection.clone(),
            layout: Arc::clone(&self.layout),
            memory: Arc::clone(&self.memory),
            user,
            bytes_max: self.memory.budget() / self.readers,
            cancel: cancel.clone(),
        })
    }

    /// Numbers of the partitions, in the order of their ranges.
    pub(in crate::pipeline) fn partitions(&self) -> &[u32] {
        &self.partitions
    }

    /// The ranges of the partitions.
    pub(in crate::pipeline) fn ranges(&self) -> &[StreamRange] {
        &self.ranges
    }

    /// Finds the range of each commit.
    pub(in crate::pipeline) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    /// Empty buffers of one reader.
    pub(in crate::pipeline) fn buffers(&self) -> Buffers {
        let held_max = self.memory.budget() / BUFFERS / self.readers;
        let frame_bytes = held_max / self.ranges.len().max(1);
        Buffers::new(&[self.ranges.len()], frame_bytes.clamp(FRAME_BYTES.0, FRAME_BYTES.1), held_max)
    }
}
