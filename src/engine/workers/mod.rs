//! Processes that build together: each is known by its beat, and claims one partition after the other.
//!
//! MongoDB is where they meet. Whoever sees a worker's beat stand still for as long as a lease is valid
//! dismisses it, and its partitions are claimed again. A dismissed worker that wakes up finds its mandate
//! over; what of its writes is under way still meets a partition that is built once more, or, after the last
//! partition, a collection that has got another name.

mod input;
mod partitions;
mod presence;
mod work;

pub(crate) use input::shared_input;
pub(crate) use partitions::SharedPartitions;
pub(crate) use presence::Presence;
pub(crate) use work::{Nothing, Working};
