//! Decisions from facts, without IO: whether the server is supported, which names are ours, how the streams
//! are divided, how long a rebuild will take.

mod capacity;
mod estimate;
mod names;
mod partitions;
mod privileges;
mod sample;
mod server;
mod shards;
mod sharing;
mod strategy;

pub(crate) use capacity::{Capacity, Demand, Oplog};
pub(crate) use estimate::Sample;
pub use estimate::{Estimate, VerifySeconds};
pub(crate) use names::{
    GenerationNames, exchange_name, is_exchange, is_of_target, is_our_name, next_generation, sealed_name,
    shards_seen, shards_wanted, staging_name, staging_parts, staging_token, without_aside,
};
pub(crate) use partitions::{Partition, StreamRange, divide, partition_count};
pub(crate) use privileges::{HISTORY, Need, Privilege, Resource, missing, needs};
pub(crate) use sample::{SampledCommit, StoreSample};
pub(crate) use server::{ServerFacts, Topology};
pub use shards::ShardPlan;
pub(crate) use shards::{Chunk, ShardMap, turns};
pub(crate) use sharing::SharingFacts;
pub use sharing::WorkersPlan;
pub(crate) use strategy::{Choice, PassFacts};
pub use strategy::{NaturalBy, Strategy};
