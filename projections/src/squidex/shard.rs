//! Which of several collections the objects of an app are in, where Squidex spreads them over some.

use super::id::EMPTY_ID;
use crate::{Spec, Target};

/// Number of the collection, below `count`, that has the assets or contents of an app: Squidex appends it to
/// the collection's name, as in `States_Assets2_0`. A `count` of 0 counts as one collection.
///
/// ```
/// use statefold_projections::squidex::shard;
/// assert_eq!(shard("63761585-e06d-5466-c715-21b300000000", 1), 0);
/// ```
#[must_use]
pub fn shard(app_id: &str, count: u32) -> u32 {
    let app_id = if app_id == EMPTY_ID { "" } else { app_id };
    hash(app_id).unsigned_abs().checked_rem(count).unwrap_or(0)
}

/// The specification with a target for each shard, or with the target itself if there are none.
pub(super) fn divided(spec: Spec, target: &Target, shards: u32) -> Spec {
    if shards == 0 {
        return spec.target(target.clone());
    }
    (0..shards).fold(spec, |spec, number| spec.target(target.clone().with_suffix(&format!("_{number}"))))
}

/// Position of the target that has the objects of an app, among those of [`divided`].
pub(super) fn target_of(app_id: &[u8], shards: u32) -> usize {
    std::str::from_utf8(app_id).map_or(0, |app_id| shard(app_id, shards) as usize)
}

/// The hash of an id: two sums that take every second UTF-16 unit each.
fn hash(id: &str) -> i32 {
    const START: i32 = (5381 << 16) + 5381;
    let mut sums = [START; 2];
    for (at, unit) in id.encode_utf16().enumerate() {
        let [first, second] = &mut sums;
        let sum = if at % 2 == 0 { first } else { second };
        *sum = (sum.wrapping_shl(5).wrapping_add(*sum)) ^ i32::from(unit);
    }
    let [first, second] = sums;
    first.wrapping_add(second.wrapping_mul(1_566_083_941))
}
