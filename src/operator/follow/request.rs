//! The request to follow, and its report.

use std::time::Duration;

use serde::Serialize;

/// Request to keep active generations current.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Names of the projections, without case; if empty, all registered ones, but for those that an
    /// application reads under a name of its own (mode `rename`).
    pub projections: Vec<String>,
    /// Keep the previous generation current as well, so that rolling back takes only as long as the flip.
    pub keep_warm: bool,
    /// Pause between comparisons of all heads where there are no change streams (standalone server).
    pub compare_every: Duration,
}

impl Default for Follow {
    fn default() -> Self {
        Self { projections: Vec::new(), keep_warm: false, compare_every: Duration::from_secs(10) }
    }
}

/// Report of a follower, when it is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FollowReport {
    /// The generations that were kept current.
    pub followed: Vec<Followed>,
    /// How often following was started; more than once after failures or a lost lease.
    pub starts: u32,
}

impl FollowReport {
    pub(super) fn add(&mut self, projection: &str, generation: u32, streams: u64) {
        let found = self
            .followed
            .iter_mut()
            .find(|followed| followed.projection == projection && followed.generation == generation);
        match found {
            Some(followed) => followed.streams_refolded += streams,
            None => self.followed.push(Followed {
                projection: projection.to_owned(),
                generation,
                streams_refolded: streams,
            }),
        }
    }
}

/// A generation that was kept current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Followed {
    /// Name of the projection.
    pub projection: String,
    /// Number of the generation.
    pub generation: u32,
    /// Number of streams that were refolded.
    pub streams_refolded: u64,
}
