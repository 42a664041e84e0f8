//! What is looked at before a verb begins: whether a database has an event store, and whether somebody is at
//! work.

use statefold_projections::Registry;

use crate::config::Settings;
use crate::engine::leader::refuse_led;
use crate::error::{Error, Result};
use crate::store::Store;

/// Refuses a database that looks like a slip: it has no event store, but others of the same server do.
///
/// # Errors
/// [`Error::NoEventStore`] for such a database; what the server said.
pub(crate) async fn refuse_slip(settings: &Settings, registry: &Registry) -> Result<()> {
    let store = Store::connect(settings, registry).await?;
    match store.has_events().await {
        // Who may not look for it may not do what follows either, which says more about that.
        Ok(true) | Err(Error::Permission { .. }) => return Ok(()),
        Ok(false) => {}
        Err(error) => return Err(error),
    }
    match store.databases_with_events().await {
        others if others.is_empty() => Ok(()),
        others => Err(Error::NoEventStore { database: store.database().to_owned(), others }),
    }
}

/// Who is at work, so that a verb that needs the lease would not get it now; `None` if it would, or would
/// wait.
///
/// # Errors
/// What the server said.
pub(crate) async fn at_work(settings: &Settings, registry: &Registry) -> Result<Option<String>> {
    let store = Store::connect(settings, registry).await?;
    match refuse_led(&store, settings).await {
        Err(Error::LeaseHeld { holder }) => Ok(Some(holder)),
        other => other.map(|()| None),
    }
}
