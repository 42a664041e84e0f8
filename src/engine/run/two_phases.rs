//! The two-phase rule: a cut-over that breaks an older release waits until every running server can read the
//! new version.

use std::time::Instant;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::error::{Error, Result};
use crate::observe::{InstanceRow, Recorder, Wait};

/// Running servers that know a projection but can't read this version of it.
pub(crate) fn cannot_read<'a>(
    instances: &'a [InstanceRow],
    projection: &str,
    version: u32,
) -> impl Iterator<Item = &'a InstanceRow> {
    let knows = move |instance: &&InstanceRow| {
        instance.reads.get(projection).is_some_and(|versions| !versions.contains(&version))
    };
    instances.iter().filter(knows)
}

/// Name of a server in a message.
pub(crate) fn name_of(instance: &InstanceRow) -> String {
    match instance.pid {
        Some(pid) => format!("{} (pid {pid})", instance.host),
        None => instance.host.clone(),
    }
}

impl Run {
    /// Waits while servers are running that couldn't read their snapshots after the cut-over. Servers that
    /// choose by version keep the generation they have.
    ///
    /// # Errors
    /// [`Error::NotCutOver`] after the wait limit; [`Error::Interrupted`].
    pub(super) async fn wait_for_instances(&self, builds: &[Build]) -> Result<()> {
        let began = Instant::now();
        let mut said = None;
        loop {
            let waits_for = self.older_instances(builds).await?;
            if waits_for.is_empty() {
                if said.is_some() {
                    Recorder::waiting_over(&self.progress);
                }
                return Ok(());
            }
            let reason = format!("servers run that can't read the new version: {}", waits_for.join(", "));
            if self.request.force {
                tracing::warn!(reason, "cutting over all the same, as told");
                return Ok(());
            }
            let lease = self.settings.lease();
            if lease.wait_limit.is_some_and(|limit| began.elapsed() >= limit) {
                return Err(Error::NotCutOver { tries: 0, reason });
            }
            if said.as_ref() != Some(&reason) {
                tracing::info!(reason, "waiting; a forced cut-over doesn't");
                Recorder::waiting(&self.progress, Wait::Servers, None, &reason);
                said = Some(reason);
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Err(Error::Interrupted),
                () = tokio::time::sleep(lease.poll) => {}
            }
        }
    }

    /// Names of the running servers that these builds would break.
    async fn older_instances(&self, builds: &[Build]) -> Result<Vec<String>> {
        let instances = self.store.control().instances().await?;
        let mut names = Vec::new();
        let breaks = |build: &&Build| build.mode.breaks_older_releases() && !build.is_live();
        for build in builds.iter().filter(breaks) {
            let record = build.record();
            names.extend(cannot_read(&instances, &record.projection, record.projection_version).map(name_of));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
