//! What is proven of a build, as a value.

use std::collections::BTreeSet;

/// What was proven of a build so far.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Whether its heads were compared with the event store.
    pub(super) heads: bool,
    /// Whether everything that was stored until now is proven.
    pub(super) stored: bool,
    /// Streams of the event store to fold once more.
    pub(super) sample: Vec<String>,
    /// Number of streams that were folded once more.
    pub(super) sampled: u64,
    /// Streams that were refolded since then; `None` if they are too many to be remembered.
    pub(super) refolded: Option<BTreeSet<String>>,
}

/// Most streams that are remembered as refolded.
const REFOLDED_MAX: usize = 20_000;

impl Proof {
    /// Notes streams that are refolded, and so no longer proven.
    pub(super) fn refolds<'a>(&mut self, streams: impl Iterator<Item = &'a String>) {
        if let (true, Some(refolded)) = (self.stored, &mut self.refolded) {
            refolded.extend(streams.cloned());
            if refolded.len() > REFOLDED_MAX {
                self.refolded = None;
            }
        }
    }
}
