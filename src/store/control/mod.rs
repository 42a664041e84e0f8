//! The control document and related documents: lease, migration lock, fence, pointer, positions of `follow`,
//! instances.

mod clock;
mod fence;
mod fence_options;
mod fence_record;
mod history;
mod holder;
mod instances;
mod lease;
mod lift;
mod lock;
mod mandate;
mod opened;
mod pointer;
mod pointer_changes;
mod positions;
mod sessions;

pub(crate) use clock::BootInstant;
pub(crate) use fence::{CUT_OVER, Fenced, Prepared, PreparedFence};
pub(in crate::store) use fence_record::raises_cut_over;
pub use fence_record::{Fence, FenceKind};
pub(crate) use history::{Deed, What};
pub use history::{HistoryEntry, HistoryWho};
pub(in crate::store) use holder::{ProcessIdentity, describe, describe_time};
pub(crate) use lease::{LeaseHolder, LeaseTaken, Owner};
pub(crate) use lift::Lifted;
pub use lock::LockState;
pub(crate) use lock::{Lock, LockTaken};
pub(crate) use mandate::Mandate;
pub(crate) use pointer::Flip;
pub(in crate::store) use pointer::active_in;
pub use pointer::{ActiveGeneration, PreviousGeneration, Undrained};
pub(crate) use positions::Positions;
