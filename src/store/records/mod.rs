//! Stored documents as values, with the names of their collections. Nothing here talks to the server.

mod build;
mod checkpoint;
mod head_ids;
mod pause;
mod swap;

pub(in crate::store) use build::{BUILDS, CHECKPOINTS, FAILED_STREAMS, HEADS};
pub(crate) use build::{
    BuildOrigin, BuildRecord, ExchangeRecord, Failure, PlaceRecord, PlanRecord, TargetRecord, Timings,
};
pub(crate) use checkpoint::Checkpoint;
pub(crate) use checkpoint::Counts;
pub(in crate::store) use head_ids::{bits_for, ids_of, refolded_id};
pub(crate) use head_ids::{bucket_id, bucket_of};
pub(crate) use pause::PauseRecord;
pub(crate) use pause::user;
pub(in crate::store) use swap::AsideRecord;
pub(crate) use swap::SwapRecord;
