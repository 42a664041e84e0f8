//! Facts that the server tells of itself: version, topology, replica set.

use bson::doc;
use mongodb::Database;
use mongodb::error::ErrorKind;

use crate::error::Result;
use crate::plan::{ServerFacts, Topology};
use crate::store::connection::call::call;

/// Asks for version and topology.
pub(in crate::store) async fn facts(db: &Database) -> Result<ServerFacts> {
    let admin = db.client().database("admin");
    let (hello, build) = call("connecting", async move {
        let hello = admin.run_command(doc! { "hello": 1 }).await;
        // Servers before 4.4.2 don't know `hello`; they are refused below, by their version. A server that
        // doesn't answer isn't waited for once more.
        let hello = match hello {
            Err(error) if matches!(*error.kind, ErrorKind::Command(_)) => {
                admin.run_command(doc! { "isMaster": 1 }).await?
            }
            hello => hello?,
        };
        let build = admin.run_command(doc! { "buildInfo": 1 }).await?;
        Ok((hello, build))
    })
    .await?;
    let topology = match (hello.get_str("msg"), hello.get_str("setName")) {
        (Ok("isdbgrid"), _) => Topology::Mongos,
        (_, Ok(_)) => Topology::ReplicaSet,
        _ => Topology::Standalone,
    };
    let version = build.get_str("version").unwrap_or("unknown").to_owned();
    Ok(ServerFacts { version, topology })
}

/// Id of the replica set, which a copy of its data on another replica set doesn't have; `None` if this
/// user may not ask for it, or if there is none.
pub(in crate::store) async fn replica_set_id(db: &Database) -> Option<String> {
    let admin = db.client().database("admin");
    let ask = async move { admin.run_command(doc! { "replSetGetConfig": 1 }).await };
    let reply = call("asking for the replica set's id", ask).await;
    let reply = reply.inspect_err(|error| tracing::debug!(error = %error.with_sources())).ok()?;
    let settings = reply.get_document("config").ok()?.get_document("settings").ok()?;
    settings.get_object_id("replicaSetId").ok().map(|id| id.to_hex())
}
