//! `Statefold_Workers`: the processes that take part in builds, each with its beat.
//!
//! A process signs its claims of partitions with the `_id` of its document. Whoever sees a beat stand still
//! for as long as a lease is valid removes the document, if the beat still is that one: from then on its
//! claims are free, and its next beat tells it that it was taken for dead.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::error::Result;
use crate::observe::{WorkerDoing, WorkerRow};
use crate::store::connection::{Builds, FORMAT, call, call_within, check_format, number_of};
use crate::store::control::{ProcessIdentity, describe_time};

/// Collection of the workers.
const WORKERS: &str = "Statefold_Workers";

/// A worker, and whether it certainly doesn't run any more.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) row: WorkerRow,
    pub(crate) is_abandoned: bool,
}

impl Builds<'_> {
    /// Adds a worker.
    pub(crate) async fn join_workers(self, id: &str, leads: bool) -> Result<()> {
        let mut set = doc! {
            "Format": FORMAT, "Version": env!("CARGO_PKG_VERSION"), "Leads": leads,
            "Since": "$$NOW", "At": "$$NOW", "Beat": 0_i64,
        };
        for (name, value) in ProcessIdentity::me().document() {
            set.insert(name, doc! { "$literal": value });
        }
        let (workers, id) = (self.store.collection(WORKERS), id.to_owned());
        let join = async move {
            workers.update_one(doc! { "_id": id }, vec![doc! { "$set": set }]).upsert(true).await
        };
        call("joining the workers", join).await.map(|_| ())
    }

    /// Writes the beat of a worker within so many seconds. Returns whether it still is one.
    pub(crate) async fn worker_beat(self, id: &str, doing: &WorkerDoing, seconds: u64) -> Result<bool> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let numbers = |of: &[u32]| of.iter().map(|number| i64::from(*number)).collect::<Vec<i64>>();
        let update = doc! {
            "$inc": { "Beat": 1_i64 }, "$currentDate": { "At": true },
            "$set": {
                "Build": doing.build.clone(), "Partitions": numbers(&doing.partitions),
                "Parts": numbers(&doing.parts),
                "PartitionsDone": signed(doing.partitions_done), "Commits": signed(doing.commits),
                "CommitsPerSecond": doing.commits_per_second, "Memory": doing.memory_bytes.map(signed),
            },
        };
        let (workers, id) = (self.store.collection(WORKERS), id.to_owned());
        let beat = async move { workers.update_one(doc! { "_id": id }, update).await };
        Ok(call_within(seconds, "writing the beat of this worker", beat).await?.matched_count == 1)
    }

    /// Removes a worker, which leaves.
    pub(crate) async fn leave_workers(self, id: &str) -> Result<()> {
        let (workers, id) = (self.store.collection(WORKERS), id.to_owned());
        let leave = async move { workers.delete_one(doc! { "_id": id }).await };
        call("leaving the workers", leave).await.map(|_| ())
    }

    /// Removes a worker that is gone, if its last beat still is this one. Returns whether it was.
    pub(crate) async fn dismiss_worker(self, id: &str, beat: i64) -> Result<bool> {
        let workers = self.store.collection(WORKERS);
        let filter = doc! { "_id": id, "Beat": beat };
        let dismiss = async move { workers.delete_one(filter).await };
        Ok(call("dismissing a worker", dismiss).await?.deleted_count == 1)
    }

    /// All workers, in the order of hosts and processes.
    pub(crate) async fn workers(self) -> Result<Vec<Worker>> {
        let workers = self.store.collection(WORKERS);
        let pipeline =
            [doc! { "$set": { "Now": "$$NOW" } }, doc! { "$sort": { "Host": 1, "Pid": 1, "_id": 1 } }];
        let find = async move { workers.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
        let found = call("listing the workers", find).await?;
        found
            .iter()
            .map(|document| {
                check_format(document, "a worker")?;
                let identity = ProcessIdentity::read(document);
                let is_abandoned = identity.is_some_and(|process| process.is_certainly_dead());
                Ok(Worker { row: row(document), is_abandoned })
            })
            .collect()
    }
}

fn row(document: &Document) -> WorkerRow {
    let text = |name: &str| document.get_str(name).unwrap_or_default().to_owned();
    let number = |name: &str| document.get(name).and_then(number_of);
    let count = |name: &str| number(name).and_then(|count| u64::try_from(count).ok());
    let ago = match (document.get_datetime("At"), document.get_datetime("Now")) {
        (Ok(at), Ok(now)) => now.timestamp_millis().saturating_sub(at.timestamp_millis()),
        _ => 0,
    };
    let numbered = |number: &Bson| number_of(number).and_then(|number| u32::try_from(number).ok());
    let numbers = |name: &str| {
        let numbers = document.get_array(name).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(numbered).collect()
    };
    WorkerRow {
        id: text("_id"),
        host: text("Host"),
        pid: number("Pid").and_then(|pid| u32::try_from(pid).ok()),
        version: text("Version"),
        leads: document.get_bool("Leads").unwrap_or(false),
        build: document.get_str("Build").ok().map(str::to_owned),
        partitions: numbers("Partitions"),
        parts: numbers("Parts"),
        partitions_done: count("PartitionsDone").unwrap_or(0),
        commits: count("Commits").unwrap_or(0),
        commits_per_second: document.get_f64("CommitsPerSecond").unwrap_or(0.0),
        memory_bytes: count("Memory"),
        since: describe_time(document, "Since"),
        beat: number("Beat").unwrap_or(0),
        last_beat_seconds: std::time::Duration::from_millis(u64::try_from(ago).unwrap_or(0)).as_secs_f64(),
    }
}
