//! How long a rebuild will take, from a timed sample.

/// What a sample of the event store took to read and fold, in memory and without writing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Commits read.
    pub commits: u64,
    /// Events folded.
    pub events: u64,
    /// Streams that were complete in the sample.
    pub streams: u64,
    /// Snapshots they gave.
    pub snapshots: u64,
    /// Size of the snapshots, in bytes.
    pub snapshot_bytes: u64,
    /// Size of the commits, in bytes.
    pub bytes: u64,
    /// Time for it, in seconds.
    pub seconds: f64,
}

/// What to expect of the whole.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Events.
    pub events: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Size of the new generation before compression, in bytes.
    pub snapshot_bytes: u64,
    /// Time to read, fold and write, in seconds; index builds not included.
    pub seconds: f64,
}

/// Writing takes about as long as reading and folding on the servers measured; the two overlap only
/// in part.
const WRITING: f64 = 1.7;

impl Sample {
    /// Scales the sample up to a number of commits, read by so many readers at a time.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub fn scale(&self, commits: u64, readers: usize) -> Option<Estimate> {
        if self.commits == 0 {
            return None;
        }
        let factor = commits as f64 / self.commits as f64;
        let scaled = |count: u64| (count as f64 * factor).round() as u64;
        Some(Estimate {
            events: scaled(self.events),
            snapshots: scaled(self.snapshots),
            snapshot_bytes: scaled(self.snapshot_bytes),
            seconds: self.seconds * factor * WRITING / readers.max(1) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_scales_with_the_commits() {
        let sample = Sample {
            commits: 100,
            events: 110,
            streams: 20,
            snapshots: 19,
            snapshot_bytes: 19_000,
            bytes: 90_000,
            seconds: 1.0,
        };
        let estimate = sample.scale(1000, 2);
        assert_eq!(
            estimate.map(|one| (one.events, one.snapshots, one.snapshot_bytes)),
            Some((1100, 190, 190_000))
        );
        assert!(estimate.is_some_and(|one| (one.seconds - 8.5).abs() < 1e-9));
        assert_eq!(Sample { commits: 0, ..sample }.scale(1000, 2), None);
    }
}
