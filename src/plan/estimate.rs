//! Estimate of the duration and size of a rebuild, from a timed sample.

/// Measurements of a sample of the event store that was read and folded in memory, without writing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sample {
    /// Commits folded.
    pub commits: u64,
    /// Their size, in bytes.
    pub commit_bytes: u64,
    /// Events folded.
    pub events: u64,
    /// Streams seen.
    pub streams: u64,
    /// Snapshots they gave.
    pub snapshots: u64,
    /// Size of the snapshots, in bytes.
    pub snapshot_bytes: u64,
    /// Memory of states and names, in bytes.
    pub state_bytes: u64,
    /// Duration, in seconds.
    pub seconds: f64,
}

/// Estimate of a rebuild.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Commits.
    pub commits: u64,
    /// Their size, in bytes.
    pub commit_bytes: u64,
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Size of the new generation before compression, in bytes.
    pub snapshot_bytes: u64,
    /// Memory of all states and names together, in bytes, which natural order needs.
    pub state_bytes: u64,
    /// Time to read, fold and write, in seconds; index builds not included.
    pub seconds: f64,
}

/// Estimated duration of each extent of verification, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct VerifySeconds {
    /// The proof by digest, heads and a sample. It takes place beside the index builds.
    pub proof: f64,
    /// Every stream folded once more.
    pub full: f64,
    /// The heads of all streams alone.
    pub heads: f64,
}

/// Time to write a snapshot without indexes, in seconds, as measured.
pub(super) const WRITE_SECONDS: f64 = 6e-6;
/// Time to read a snapshot back, in seconds, as measured.
const READ_BACK_SECONDS: f64 = 6e-6;
/// Time to look at a commit for the heads, in seconds, as measured.
const HEAD_SECONDS: f64 = 3e-6;
/// A commit that is read by the name of its stream is assumed to take so many times as long as one in a pass.
const BY_NAME: f64 = 3.0;

/// Assumed memory of a state if the sample has none.
const STATE_BYTES: f64 = 1024.0;

impl Sample {
    /// Scales the sample up to so many commits of so many streams, read by so many readers at a time.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(crate) fn scale(&self, commits: u64, streams: u64, readers: usize) -> Estimate {
        let per = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let scaled = |rate: f64, count: u64| (rate * count as f64).round() as u64;
        let state = if self.streams == 0 { STATE_BYTES } else { per(self.state_bytes, self.streams) };
        let snapshots = scaled(per(self.snapshots, self.streams), streams);
        let reading =
            if self.commits == 0 { 0.0 } else { self.seconds / self.commits as f64 * commits as f64 };
        Estimate {
            commits,
            commit_bytes: scaled(per(self.commit_bytes, self.commits), commits),
            events: scaled(per(self.events, self.commits), commits),
            streams,
            snapshots,
            snapshot_bytes: scaled(per(self.snapshot_bytes, self.snapshots), snapshots),
            state_bytes: scaled(state, streams),
            seconds: (reading / readers.max(1) as f64) + snapshots as f64 * WRITE_SECONDS,
        }
    }
}

impl Estimate {
    /// Estimated duration of the verification, with so many streams in the sample of a proof.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn verify_seconds(&self, sampled: u64) -> VerifySeconds {
        let snapshots = self.snapshots as f64;
        let folding = self.seconds - snapshots * WRITE_SECONDS;
        let heads = self.commits as f64 * HEAD_SECONDS;
        let read_back = snapshots * READ_BACK_SECONDS;
        let share = sampled.min(self.streams) as f64 / self.streams.max(1) as f64;
        let sample = folding * (share * BY_NAME).min(1.0);
        VerifySeconds { proof: heads + read_back + sample, full: heads + read_back + folding, heads }
    }

    /// The estimate for so many of all partitions.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn share(&self, partitions: usize, all: usize) -> Self {
        let (part, all) = (partitions as u64, all.max(1) as u64);
        let share = |count: u64| {
            u64::try_from(u128::from(count) * u128::from(part) / u128::from(all)).unwrap_or(count)
        };
        Self {
            commits: share(self.commits),
            commit_bytes: share(self.commit_bytes),
            events: share(self.events),
            streams: share(self.streams),
            snapshots: share(self.snapshots),
            snapshot_bytes: share(self.snapshot_bytes),
            state_bytes: share(self.state_bytes),
            seconds: self.seconds * part as f64 / all as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_scales_with_commits_and_streams() {
        let sample = Sample {
            commits: 100,
            commit_bytes: 100_000,
            events: 110,
            streams: 20,
            snapshots: 10,
            snapshot_bytes: 9000,
            state_bytes: 24_000,
            seconds: 1.0,
        };
        let estimate = sample.scale(1000, 400, 2);
        assert_eq!((estimate.events, estimate.snapshots, estimate.snapshot_bytes), (1100, 200, 180_000));
        assert_eq!(estimate.state_bytes, 480_000);
        assert!((estimate.seconds - 5.0012).abs() < 1e-9);
        assert_eq!((estimate.commit_bytes, estimate.share(1, 4).commit_bytes), (1_000_000, 250_000));
        let verify = estimate.verify_seconds(4);
        assert!((verify.heads - 0.003).abs() < 1e-9);
        assert!((verify.proof - (0.003 + 0.0012 + 0.15)).abs() < 1e-9, "{verify:?}");
        assert!((verify.full - 5.0042).abs() < 1e-9, "{verify:?}");
        let unknown = Sample::default().scale(1000, 400, 2);
        assert_eq!(Estimate::default().verify_seconds(1000), VerifySeconds::default());
        assert_eq!((unknown.events, unknown.state_bytes), (0, 409_600));
    }
}
