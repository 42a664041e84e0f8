//! Takes part in the builds of others.

use std::time::Duration;

use serde::Serialize;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::engine::looking::while_looking;
use crate::engine::running::Running;
use crate::engine::workers::{Nothing, Working};
use crate::error::Error;
use crate::observe::Recorder;
use crate::store::Store;

/// How long a worker stays while there is nothing to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Linger {
    /// It leaves at once.
    #[default]
    No,
    /// It leaves after this time.
    For(Duration),
    /// It stays until it is cancelled.
    Always,
}

/// Request to work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// How long to stay while there is nothing to do.
    pub linger: Linger,
}

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkReport {
    /// Builds it took part in.
    pub builds: Vec<String>,
    /// Partitions it finished.
    pub partitions: u64,
    /// Commits of those.
    pub commits: u64,
    /// Builds that are open and that this program can't work on, in words.
    pub refused: Vec<String>,
}

/// Begins to take part in whatever builds are open to workers in this database: claims their partitions, one
/// at a time, builds them as the leader would, and leaves when nothing is left. Must be called on a tokio
/// runtime. Any number of processes may do this, on any machine.
///
/// # Errors
/// Awaiting the report gives [`Error::Unsupported`] if builds are open, and this program can work on none of
/// them; [`Error::Interrupted`] if it is cancelled; or what the server said, unless that may go away by
/// itself.
pub fn work(settings: &Settings, registry: &Registry, request: Work) -> Running<WorkReport> {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| async move {
        if registry.projections().is_empty() {
            return Err(Error::Config(vec!["no projection is registered".into()]));
        }
        let names = registry.projections().iter().map(|projection| projection.spec().name());
        Recorder::begin_run(&progress, names);
        let store = Store::connect(&settings, &registry).await?;
        let working = Working {
            store: &store,
            settings: &settings,
            registry: &registry,
            progress: &progress,
            cancel: &cancel,
        };
        let nothing = match request.linger {
            Linger::No => Nothing::Leave,
            Linger::For(time) => Nothing::WaitFor(time),
            Linger::Always => Nothing::Stay,
        };
        let worked = while_looking(&store, &settings, registry.projections(), working.work(nothing)).await?;
        let (builds, partitions, commits, refused) =
            (worked.builds, worked.partitions, worked.commits, worked.refused);
        Ok(WorkReport { builds, partitions, commits, refused })
    })
}
