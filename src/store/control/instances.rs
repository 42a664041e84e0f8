//! `Statefold_Instances`: the running servers, each with the projection versions it can read.
//!
//! A server that ends removes its document. The document of one that dies expires at `GoneAt`: a TTL index
//! removes it within about a minute, and readers ignore it before that, by the clock of the database server.

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;

use crate::error::Result;
use crate::observe::InstanceRow;
use crate::store::connection::{Control, FORMAT, call, check_format, number_of};
use crate::store::control::holder::{ProcessIdentity, describe_time};

/// Collection of the running servers.
const INSTANCES: &str = "Statefold_Instances";

impl Control<'_> {
    /// Creates the TTL index.
    pub(crate) async fn prepare_instances(self) -> Result<()> {
        let create = doc! {
            "createIndexes": INSTANCES,
            "indexes": [{ "key": { "GoneAt": 1 }, "name": "Gone", "expireAfterSeconds": 0 }],
            "writeConcern": { "w": "majority" },
        };
        self.store.command("preparing the list of instances", create).await.map(|_| ())
    }

    /// Writes the heartbeat of an instance. It expires if the next one isn't written within so many
    /// milliseconds, by the clock of the database server.
    pub(crate) async fn instance_beat(
        self,
        id: &str,
        projections: &[(String, u32)],
        read_only: bool,
        gone_after_ms: i64,
    ) -> Result<()> {
        let mut set = doc! {
            "Format": FORMAT, "Version": env!("CARGO_PKG_VERSION"), "ReadOnly": read_only,
            "StartedAt": { "$ifNull": ["$StartedAt", "$$NOW"] }, "Heartbeat": "$$NOW",
            "GoneAt": { "$add": ["$$NOW", gone_after_ms] },
        };
        let reads: Document = projections
            .iter()
            .map(|(name, version)| (name.clone(), vec![i64::from(*version)].into()))
            .collect();
        set.insert("Reads", doc! { "$literal": reads });
        for (name, value) in ProcessIdentity::me().document() {
            set.insert(name, doc! { "$literal": value });
        }
        let (instances, id) = (self.store.collection(INSTANCES), id.to_owned());
        let update = vec![doc! { "$set": set }];
        let beat = async move { instances.update_one(doc! { "_id": id }, update).upsert(true).await };
        call("writing the heartbeat of this instance", beat).await.map(|_| ())
    }

    /// Removes an instance.
    pub(crate) async fn remove_instance(self, id: &str) -> Result<()> {
        let (instances, id) = (self.store.collection(INSTANCES), id.to_owned());
        let remove = async move { instances.delete_one(doc! { "_id": id }).await };
        call("removing this instance", remove).await.map(|_| ())
    }

    /// The running servers, in the order of hosts and processes.
    pub(crate) async fn instances(self) -> Result<Vec<InstanceRow>> {
        let instances = self.store.collection(INSTANCES);
        let pipeline = [
            doc! { "$match": { "$expr": { "$gt": ["$GoneAt", "$$NOW"] } } },
            doc! { "$set": { "Now": "$$NOW" } },
            doc! { "$sort": { "Host": 1, "Pid": 1, "_id": 1 } },
        ];
        let find = async move { instances.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
        let found = call("listing the instances", find).await?;
        found.iter().map(|instance| check_format(instance, "an instance").map(|()| row(instance))).collect()
    }
}

fn row(document: &Document) -> InstanceRow {
    let text = |name: &str| document.get_str(name).unwrap_or_default().to_owned();
    let time = |name: &str| document.get_datetime(name).map(|time: &DateTime| time.timestamp_millis());
    let ago = match (time("Heartbeat"), time("Now")) {
        (Ok(beat), Ok(now)) => u64::try_from(now.saturating_sub(beat)).unwrap_or(0),
        _ => 0,
    };
    let versions = |value: &Bson| -> Vec<u32> {
        let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(number_of).filter_map(|version| u32::try_from(version).ok()).collect()
    };
    let reads = document.get_document("Reads").ok();
    InstanceRow {
        id: text("_id"),
        host: text("Host"),
        pid: document.get("Pid").and_then(number_of).and_then(|pid| u32::try_from(pid).ok()),
        version: text("Version"),
        reads: reads.into_iter().flatten().map(|(name, value)| (name.clone(), versions(value))).collect(),
        read_only: document.get_bool("ReadOnly").unwrap_or(false),
        started: describe_time(document, "StartedAt"),
        heartbeat_seconds: std::time::Duration::from_millis(ago).as_secs_f64(),
    }
}
