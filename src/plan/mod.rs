//! Decides, from facts and without IO: may we work on this server, which names are ours, how the
//! streams are divided, how long it will take.

mod capacity;
mod estimate;
mod names;
mod partitions;
mod privileges;
mod sample;
mod server;
mod strategy;

pub use capacity::{Demand, Oplog, Capacity};
pub use estimate::{Estimate, Sample};
pub use names::{
    GenerationNames, is_of_target, is_our_name, next_generation, sharded_siblings, staging_name,
    staging_parts, staging_token, without_aside,
};
pub use partitions::{Partition, StreamRange, divide, partition_count};
pub use privileges::{Need, Privilege, Resource, Step, missing, needs};
pub use sample::{SampledCommit, StoreSample, StreamsEstimate};
pub use server::{ServerFacts, Topology};
pub use strategy::{Choice, NaturalBy, PassFacts, Strategy};
