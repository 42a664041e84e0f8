//! Replication lag, and the reasons for a run to wait: pauses and lag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use crate::lifecycle::{Member, PauseReason, Replication, ReplicationLag};
use crate::pipeline::ThrottleSource;
use crate::plan::Topology;
use crate::store::connection::{Admin, Store, call, number_of};
use crate::store::records::PauseRecord;

/// Reasons to wait for the run with this token.
pub(crate) struct RunThrottle {
    store: Store,
    token: i64,
    max_lag: Option<Duration>,
    /// Whether the missing right to read the lag of each member was logged.
    said: AtomicBool,
}

impl RunThrottle {
    /// Waits for pauses of this run, and for secondaries whose lag is above `max_lag`.
    pub(crate) fn new(store: &Store, token: i64, max_lag: Option<Duration>) -> Self {
        let max_lag = max_lag.filter(|_| store.facts.topology == Topology::ReplicaSet);
        Self { store: store.clone(), token, max_lag, said: AtomicBool::new(false) }
    }

    async fn behind(&self, max: Duration) -> Result<Option<String>> {
        let lag = match self.store.admin().replication_lag().await {
            Err(Error::Permission { .. }) => {
                if !self.said.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        "this user may not run replSetGetStatus: of the secondaries only the majority is \
                         waited for"
                    );
                }
                self.store.admin().majority_lag().await?
            }
            other => other?,
        };
        Ok(lag.and_then(|lag| lag.over(max)))
    }
}

impl ThrottleSource for RunThrottle {
    fn look(&self) -> BoxFuture<'_, Result<PauseReason>> {
        async move {
            let pauses = self.store.builds().pauses_of(self.token).await?;
            let behind = match self.max_lag {
                Some(max) => self.behind(max).await.unwrap_or_else(|error| {
                    tracing::debug!(error = %error.with_sources(), "the lag of secondaries can't be read");
                    None
                }),
                None => None,
            };
            Ok(PauseReason { paused: pauses.first().map(PauseRecord::line), behind })
        }
        .boxed()
    }
}

impl Admin<'_> {
    async fn on_admin(self, doing: &str, command: Document) -> Result<Document> {
        let admin = self.store.db.client().database("admin");
        call(doing, async move { admin.run_command(command).await }).await
    }

    /// Cores of the server, where this user may ask.
    pub(crate) async fn cores(self) -> Option<u32> {
        let info = self.on_admin("asking for the server's machine", doc! { "hostInfo": 1 }).await.ok()?;
        let cores = info.get_document("system").ok()?.get("numCores").and_then(number_of)?;
        u32::try_from(cores).ok().filter(|cores| *cores > 0)
    }

    /// The lag of the slowest secondary; `None` if there is none.
    async fn replication_lag(self) -> Result<Option<ReplicationLag>> {
        let doing = "asking for the state of the replica set";
        let status = self.on_admin(doing, doc! { "replSetGetStatus": 1 }).await?;
        let aside = self.aside().await;
        let all = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
        let all: Vec<&Document> = all.iter().filter_map(Bson::as_document).collect();
        let written =
            |member: &Document| member.get_datetime("optimeDate").map_or(0, |time| time.timestamp_millis());
        let is =
            |member: &Document, state: &str| member.get_str("stateStr").is_ok_and(|found| found == state);
        let primary = all.iter().find(|member| is(member, "PRIMARY"));
        let Some(primary_ms) = primary.map(|member| written(member)) else { return Ok(None) };
        let members = all.iter().map(|member| {
            let name = member.get_str("name").unwrap_or_default().to_owned();
            let is_up = member.get("health").is_some_and(|health| health.as_f64() != Some(0.0));
            Member {
                is_secondary: is_up && is(member, "SECONDARY"),
                is_aside: aside.contains(&name),
                written_ms: written(member),
                name,
            }
        });
        let members: Vec<Member> = members.collect();
        Ok(Replication { primary_ms, members: &members }.lag())
    }

    /// Members that are hidden or delayed; if the configuration can't be read, all that can't become primary.
    async fn aside(self) -> Vec<String> {
        let doing = "asking for the members of the replica set";
        let is_on = |member: &Document, name: &str| {
            member.get_bool(name).unwrap_or(false)
                || member.get(name).and_then(number_of).is_some_and(|n| n > 0)
        };
        let name = |member: &Document| member.get_str("host").ok().map(str::to_owned);
        if let Ok(reply) = self.on_admin(doing, doc! { "replSetGetConfig": 1 }).await
            && let Ok(members) = reply.get_document("config").and_then(|config| config.get_array("members"))
        {
            let members = members.iter().filter_map(Bson::as_document);
            let aside = members.filter(|member| {
                ["hidden", "secondaryDelaySecs", "slaveDelay"].iter().any(|field| is_on(member, field))
            });
            return aside.filter_map(name).collect();
        }
        let hello = self.on_admin(doing, doc! { "hello": 1 }).await.unwrap_or_default();
        let passive = hello.get_array("passives").map(Vec::as_slice).unwrap_or_default();
        passive.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// The lag of the majority behind the primary, which every user may read.
    async fn majority_lag(self) -> Result<Option<ReplicationLag>> {
        let hello = self.on_admin("asking for the last write", doc! { "hello": 1 }).await?;
        let last = hello.get_document("lastWrite").ok();
        let time = |name: &str| last?.get_datetime(name).ok().map(|time| time.timestamp_millis());
        let (Some(written), Some(majority)) = (time("lastWriteDate"), time("majorityWriteDate")) else {
            return Ok(None);
        };
        let behind = u64::try_from(written.saturating_sub(majority)).unwrap_or(0);
        let who = "the majority of the secondaries".to_owned();
        Ok(Some(ReplicationLag { who, behind: Duration::from_millis(behind) }))
    }
}
