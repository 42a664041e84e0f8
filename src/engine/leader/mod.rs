//! Leading: statefold's lease is claimed, kept by renewals on a task of its own, and released.

mod claim;
mod keeper;
mod leadership;
mod shared;
mod waiting;

pub(crate) use claim::{Claimant, Claimed, lead, lead_watched, refuse_led};
pub(crate) use leadership::Leadership;
pub(crate) use waiting::{Patience, Waiting};
