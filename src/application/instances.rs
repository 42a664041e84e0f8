//! The running servers of an application: each announces itself and the versions it can read.

use statefold_projections::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::error::Result;
use crate::observe::InstanceRow;
use crate::store::Store;

/// Number of missed heartbeats after which an instance counts as gone.
const MISSED_MAX: u32 = 3;

/// This server in the list of instances, kept there by heartbeats until it is [closed](Self::close) or
/// dropped (then it is gone after three missed heartbeats).
#[derive(Debug)]
#[must_use = "an instance that is dropped is gone soon"]
pub struct Instance {
    id: String,
    stop: CancellationToken,
    beats: JoinHandle<()>,
    store: Store,
}

impl Instance {
    /// Name of this instance, new with each start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the heartbeats and removes this server from the list.
    ///
    /// # Errors
    /// What the server said; the instance is gone soon all the same.
    pub async fn close(mut self) -> Result<()> {
        self.stop.cancel();
        // Awaited, so that no late heartbeat brings it back.
        if let Err(error) = (&mut self.beats).await {
            tracing::warn!(%error, "the heartbeats of this instance failed");
        }
        self.store.control().remove_instance(&self.id).await
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Puts this server on the list of running instances, with the projection versions it can read, and
/// keeps it there with a heartbeat every `lease.poll`. Must be called on a tokio runtime.
///
/// # Errors
/// What the server said to the first heartbeat; failures of later ones are logged, and it is tried again.
pub async fn register_instance(settings: &Settings, registry: &Registry) -> Result<Instance> {
    let store = Store::connect(settings, registry).await?;
    let every = settings.lease().poll;
    let id = bson::oid::ObjectId::new().to_hex();
    let reads: Vec<(String, u32)> = registry
        .projections()
        .iter()
        .map(|projection| (projection.spec().name().to_owned(), projection.spec().version()))
        .collect();
    let gone = i64::try_from((every * MISSED_MAX).as_millis()).unwrap_or(i64::MAX);
    let read_only = settings.is_read_only();
    store.control().prepare_instances().await?;
    store.control().instance_beat(&id, &reads, read_only, gone).await?;
    let stop = CancellationToken::new();
    let (beating_store, beating_id, stopped) = (store.clone(), id.clone(), stop.clone());
    let beats = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            if let Err(error) =
                beating_store.control().instance_beat(&beating_id, &reads, read_only, gone).await
            {
                tracing::warn!(
                    error = %error.with_sources(),
                    "this instance's heartbeat could not be written"
                );
            }
        }
    });
    Ok(Instance { id, stop, beats, store })
}

/// The running servers.
///
/// # Errors
/// What the server said.
pub async fn instances(settings: &Settings, registry: &Registry) -> Result<Vec<InstanceRow>> {
    Store::connect(settings, registry).await?.control().instances().await
}
