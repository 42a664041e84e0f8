//! What it takes to build with several processes, in stream order or with an exchange.

use serde::Serialize;

use crate::plan::estimate::WRITE_SECONDS;
use crate::plan::strategy::Strategy;

/// Facts about reading in one of the orders that processes share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SharingFacts {
    /// Stream order, or an exchange.
    pub strategy: Strategy,
    /// Commits of the event store that are read, wanted or not.
    pub scanned: u64,
    /// Commits to fold.
    pub commits: u64,
    /// Snapshots to write.
    pub snapshots: u64,
    /// Memory of the states of one partition, where all of them are in memory.
    pub partition_bytes: u64,
    /// Seconds to read a commit that is folded, by one cursor: what the server and the network need.
    pub read_seconds: f64,
    /// Seconds to read and fold such a commit, by one cursor.
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
    /// How they read: in stream order, or with an exchange.
    pub strategy: Strategy,
    /// Number of processes.
    pub workers: u32,
    /// Time to read, fold and write, in seconds; index builds and the proof not included.
    pub seconds: f64,
    /// Commits of the event store that are read for each one that is folded.
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
/// Seconds to hand a commit over and to take it: compressed, written, read, decompressed. Measured: see
/// `BENCHMARKS.md`.
const HANDED_OVER_SECONDS: f64 = 10e-6;
/// What the server has of it.
const HANDED_OVER_SERVER_SECONDS: f64 = 6e-6;

impl SharingFacts {
    /// A build by so many processes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn with(&self, workers: u32) -> WorkersPlan {
        let (handed_over, by_server) = match self.strategy {
            Strategy::Exchange => (HANDED_OVER_SECONDS, HANDED_OVER_SERVER_SECONDS),
            _ => (0.0, 0.0),
        };
        let (commits, writing) = (self.commits as f64, self.snapshots as f64 * WRITE_SECONDS);
        let at_once = f64::from(workers) * self.readers.max(1) as f64;
        let by_workers = (commits * (self.fold_seconds + handed_over) + writing) / at_once;
        let busy = commits * (self.read_seconds + by_server) + writing;
        let cores = f64::from(self.server_cores.max(1));
        let seconds = by_workers.max(busy / cores);
        let at_work = BATCHES * self.batch_bytes + self.partition_bytes;
        WorkersPlan {
            strategy: self.strategy,
            workers,
            seconds,
            reads_per_commit: self.scanned as f64 / self.commits.max(1) as f64,
            memory_bytes: PROCESS_BYTES + self.readers as u64 * at_work,
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
        strategy: Strategy::Stream,
        scanned: 1_000_000,
        commits: 1_000_000,
        snapshots: 0,
        partition_bytes: 0,
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

    #[test]
    fn what_is_exchanged_costs_more_and_reads_what_nobody_wants() {
        let exchange = SharingFacts {
            strategy: Strategy::Exchange,
            scanned: 3_000_000,
            partition_bytes: 1 << 20,
            ..FACTS
        };
        let (stream, exchange) = (FACTS.with(2), exchange.with(2));
        assert!(
            exchange.seconds > stream.seconds && exchange.memory_bytes == stream.memory_bytes + (2 << 20)
        );
        assert!((exchange.reads_per_commit - 3.0).abs() < 1e-9 && stream.reads_per_commit < 1.1);
    }
}
