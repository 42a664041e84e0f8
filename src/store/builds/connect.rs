//! The connection of a store that knows where the recorded generations are.

use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::store::connection::Store;

impl Store {
    /// Connects. Collections are looked for where records say that they are, else where the registry does.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a malformed URI, [`crate::Error::Unreachable`],
    /// [`crate::Error::Permission`], [`crate::Error::Unsupported`].
    pub(crate) async fn connect(settings: &Settings, registry: &Registry) -> Result<Self> {
        let store = Self::dial(settings, registry).await?;
        let records = match store.builds().records(None).await {
            // Whoever needs them comes upon that again.
            Err(Error::Newer { .. } | Error::Permission { .. }) => Vec::new(),
            other => other?,
        };
        let live = records.iter().filter(|record| !record.state.is_over());
        let places = live.flat_map(|record| &record.targets).filter_map(|target| {
            let place = target.place.as_ref()?;
            let suffix = target.target.strip_prefix(&place.stem)?;
            Some((place.stem.as_str(), suffix, place.database.as_str()))
        });
        Ok(store.with_places(places))
    }
}
