//! Writes folded snapshots: partition by partition in batches, and refolded streams in
//! transactions; hands over what others fold.

mod batches;
mod exchange;
mod fold;
mod partition;
mod partitions;
mod refold;

pub(crate) use partitions::{Queue, run};
pub(crate) use refold::{BYTES_TOGETHER, Differing, differing, fold_streams, orphans, refold};
