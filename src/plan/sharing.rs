//! What it takes to build in stream order with several processes.

use serde::Serialize;

use crate::plan::estimate::WRITE_SECONDS;

/// Facts about reading in stream order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SharingFacts {
    /// Commits to read.
    pub commits: u64,
    /// Snapshots to write.
    pub snapshots: u64,
    /// Seconds to read a commit, by one cursor: what the server and the network need.
    pub read_seconds: f64,
    /// Seconds to read and fold a commit, by one cursor.
    pub fold_seconds: f64,
    /// Cursors that one process reads at the same time.
    pub readers: usize,
    /// Most bytes of a batch.
    pub batch_bytes: u64,
    /// Cores of the server.
    pub server_cores: u32,
}

/// A build by so many processes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkersPlan {
    /// Number of processes.
    pub workers: u32,
    /// Time to read, fold and write, in seconds; index builds and the proof not included.
    pub seconds: f64,
    /// How often a commit is read.
    pub reads_per_commit: f64,
    /// Memory of each process, in bytes.
    pub memory_bytes: u64,
    /// Share of the server's cores that the build keeps busy, from 0 to 1.
    pub server_load: f64,
}

/// Memory of a process without its batches.
const PROCESS_BYTES: u64 = 32 << 20;
/// Batches of a reader: read, folded, written.
const BATCHES: u64 = 3;

impl SharingFacts {
    /// A build by so many processes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn with(&self, workers: u32) -> WorkersPlan {
        let writing = self.snapshots as f64 * WRITE_SECONDS;
        let at_once = f64::from(workers) * self.readers.max(1) as f64;
        let by_workers = (self.commits as f64 * self.fold_seconds + writing) / at_once;
        let busy = self.commits as f64 * self.read_seconds + writing;
        let cores = f64::from(self.server_cores.max(1));
        let seconds = by_workers.max(busy / cores);
        WorkersPlan {
            workers,
            seconds,
            reads_per_commit: 1.0,
            memory_bytes: PROCESS_BYTES + self.readers as u64 * BATCHES * self.batch_bytes,
            server_load: if seconds > 0.0 { (busy / cores / seconds).min(1.0) } else { 0.0 },
        }
    }

    /// 1, 2, 4, … processes, up to so many.
    #[must_use]
    pub(crate) fn up_to(&self, workers: u32) -> Vec<WorkersPlan> {
        let doubled = std::iter::successors(Some(1_u32), |workers| workers.checked_mul(2));
        let mut numbers: Vec<u32> = doubled.take_while(|number| *number < workers).collect();
        numbers.push(workers.max(1));
        numbers.into_iter().map(|number| self.with(number)).collect()
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const FACTS: SharingFacts = SharingFacts {
        commits: 1_000_000,
        snapshots: 0,
        read_seconds: 2e-6,
        fold_seconds: 8e-6,
        readers: 2,
        batch_bytes: 4 << 20,
        server_cores: 2,
    };

    #[test]
    fn more_workers_help_until_the_server_is_busy() {
        let plans = FACTS.up_to(6);
        let numbers: Vec<u32> = plans.iter().map(|plan| plan.workers).collect();
        assert_eq!(numbers, [1, 2, 4, 6]);
        let seconds: Vec<f64> = plans.iter().map(|plan| plan.seconds).collect();
        assert_eq!(seconds, [4.0, 2.0, 1.0, 1.0]);
        assert!(plans[0].server_load < 0.3 && plans[3].server_load == 1.0, "{plans:?}");
        assert_eq!(FACTS.up_to(1).len(), 1);
    }
}
