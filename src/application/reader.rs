//! For readers: follows the pointer to the active collection, so that they switch without a restart.
//!
//! Invariant: a reader is never sent to a generation of a version it wasn't made for. When the pointer moves
//! to such a generation, it stays on the newest that it can read.

use std::sync::Arc;
use std::time::Duration;

use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::store::{ActiveGeneration, Store};

/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Generation that a reader of a projection uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Reading {
    /// Number of the generation; `None` if there is none yet that this program can read.
    pub generation: Option<u32>,
    /// Its collections, one per target, in the order of the spec.
    pub collections: Vec<Arc<str>>,
    /// The version of the active generation, if this program can't read it: it reads an older generation
    /// then, or the one of another release.
    pub unreadable: Option<u32>,
    /// Whether the pointer is polled (every `lease.poll`), because there is no change stream
    /// for this user on this server. Else a flip is seen at once.
    pub polling: bool,
}

/// Follows the active generation of a projection, on a task of its own that ends when the last clone is
/// dropped.
///
/// While the server can't be reached, the last known generation stays.
#[derive(Debug, Clone)]
pub struct ActiveHandle {
    reading: watch::Receiver<Reading>,
    _guard: Arc<DropGuard>,
}

impl ActiveHandle {
    /// The collection to read, of the first target; `None` if there is none yet. Sends no request.
    #[must_use]
    pub fn collection(&self) -> Option<Arc<str>> {
        self.reading.borrow().collections.first().cloned()
    }

    /// Everything that is known. Sends no request.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.reading.borrow().clone()
    }

    /// Waits until the reading differs from the one that this method returned last, and returns it.
    ///
    /// # Errors
    /// [`Error::Bug`] if the task ended.
    pub async fn changed(&mut self) -> Result<Reading> {
        let ended = |_| Error::Bug("nobody follows the pointer any more".into());
        self.reading.changed().await.map_err(ended)?;
        Ok(self.reading.borrow_and_update().clone())
    }
}

/// Begins to follow the active generation of a projection, for a program that reads the version it is
/// registered with. Must be called on a tokio runtime.
///
/// A program that reads an old generation should be on the list of instances
/// ([`register_instance`](crate::register_instance)), so that it is known who needs it.
///
/// # Errors
/// [`Error::Registry`] for an unknown name, [`Error::Newer`] if a newer statefold wrote the pointer; else
/// what the server said at first. Later errors are logged, and it is tried again for ever.
pub async fn follow_active(
    settings: &Settings,
    registry: &Registry,
    projection: &str,
) -> Result<ActiveHandle> {
    let spec = registry.get(projection)?.spec().clone();
    let store = Store::connect(settings, registry).await?;
    let stop = CancellationToken::new();
    let follower = PointerFollower {
        store,
        projection: spec.name().to_owned(),
        version: spec.version(),
        poll: settings.lease().poll,
        reading: watch::Sender::default(),
        stop: stop.clone(),
    };
    follower.look().await?;
    let mut reading = follower.reading.subscribe();
    reading.mark_unchanged();
    tokio::spawn(follower.follow());
    Ok(ActiveHandle { reading, _guard: Arc::new(stop.drop_guard()) })
}

struct PointerFollower {
    store: Store,
    projection: String,
    version: u32,
    poll: Duration,
    reading: watch::Sender<Reading>,
    stop: CancellationToken,
}

impl PointerFollower {
    async fn follow(self) {
        let mut failures: u32 = 0;
        while !self.stop.is_cancelled() {
            if let Err(error) = self.until_it_fails(&mut failures).await {
                failures += 1;
                // Logged once for each outage.
                if failures == 1 {
                    tracing::warn!(
                        projection = self.projection, error = %error.with_sources(),
                        "the pointer can't be followed now; reading on from what was known last"
                    );
                }
                self.pause(PAUSE).await;
            }
        }
    }

    /// Follows the pointer until it is told to stop.
    async fn until_it_fails(&self, failures: &mut u32) -> Result<()> {
        let changes = self.store.control().pointer_changes().await?;
        let polling = changes.is_none();
        self.reading.send_if_modified(|reading| std::mem::replace(&mut reading.polling, polling) != polling);
        // Shows flips from before the change stream was opened.
        self.look().await?;
        if std::mem::take(failures) > 0 {
            tracing::info!(projection = self.projection, "the pointer is followed again");
        }
        let Some(mut changes) = changes else {
            while !self.stop.is_cancelled() {
                self.pause(self.poll).await;
                self.look().await?;
            }
            return Ok(());
        };
        while !self.stop.is_cancelled() {
            if changes.next().await? {
                self.look().await?;
            }
        }
        Ok(())
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Reads the pointer and shows the generation to read.
    async fn look(&self) -> Result<()> {
        let pointer = self.store.control().pointer(&self.projection).await?;
        let before = self.reading.borrow().clone();
        let now = read(&before, pointer.as_ref(), self.version);
        let unreadable = now.unreadable.filter(|_| now.unreadable != before.unreadable);
        if let Some(active) = unreadable {
            tracing::warn!(
                projection = self.projection, active, readable = self.version, reading = ?now.collections,
                "the active generation is of a version that this program can't read"
            );
        } else if now.collections != before.collections {
            tracing::info!(projection = self.projection, reading = ?now.collections, "the active generation");
        }
        self.reading.send_if_modified(|reading| {
            let is_news = *reading != now;
            *reading = now;
            is_news
        });
        Ok(())
    }
}

/// The next reading of a program of this version, from its reading before.
fn read(before: &Reading, pointer: Option<&ActiveGeneration>, version: u32) -> Reading {
    // A pointer that is gone says nothing of the collections.
    let Some(pointer) = pointer else { return before.clone() };
    let mut now = before.clone();
    now.unreadable = Some(pointer.projection_version).filter(|active| *active != version);
    // Nor does one that has forgotten the generation that is read.
    if let Some((generation, collections)) = pointer.generation_of(version) {
        now.generation = Some(generation);
        now.collections = collections.iter().map(|name| Arc::from(name.as_str())).collect();
    }
    now
}

/// The generation of a projection that readers use; `None` if there is none yet.
///
/// # Errors
/// [`crate::error::Error::Newer`] if a newer statefold wrote the pointer; what the server said.
pub async fn active_generation(
    settings: &Settings,
    registry: &Registry,
    projection: &str,
) -> Result<Option<ActiveGeneration>> {
    let projection = registry.get(projection)?.spec().name().to_owned();
    Store::connect(settings, registry).await?.control().active(&projection).await
}

#[cfg(test)]
mod tests {
    use bson::Timestamp;

    use super::*;
    use crate::store::PreviousGeneration;

    fn pointer(active: (u32, u32), previous: &[(u32, u32)]) -> ActiveGeneration {
        let collections = |generation: u32| vec![format!("S{generation}")];
        let previous = previous.iter().map(|(generation, version)| PreviousGeneration {
            generation: *generation,
            collections: collections(*generation),
            projection_version: *version,
        });
        ActiveGeneration {
            mode: crate::lifecycle::CutOverMode::Pointer,
            active: active.0,
            collection: format!("S{}", active.0),
            collections: collections(active.0),
            projection_version: active.1,
            since: Timestamp { time: 1, increment: 1 },
            token: 1,
            undrained: None,
            previous: previous.collect(),
        }
    }

    #[test]
    fn only_a_generation_of_its_own_version_is_read() {
        let mut reading = Reading::default();
        let mut look = |pointer: Option<ActiveGeneration>, version| {
            reading = read(&reading, pointer.as_ref(), version);
            (reading.generation, reading.unreadable)
        };
        assert_eq!(look(None, 2), (None, None));
        assert_eq!(look(Some(pointer((3, 1), &[])), 2), (None, Some(1)));
        assert_eq!(look(Some(pointer((4, 2), &[(3, 1)])), 2), (Some(4), None));
        assert_eq!(look(Some(pointer((5, 2), &[(4, 2), (3, 1)])), 2), (Some(5), None));
        assert_eq!(look(Some(pointer((6, 3), &[(5, 2), (4, 2)])), 2), (Some(5), Some(3)));
        // What was read last is no longer on the list, or nothing is.
        assert_eq!(look(Some(pointer((7, 3), &[(6, 3)])), 2), (Some(5), Some(3)));
        assert_eq!(look(None, 2), (Some(5), Some(3)));
        assert_eq!(look(Some(pointer((5, 2), &[(7, 3)])), 2), (Some(5), None));
    }
}
