//! `LastVerify {At, Differences}` in a build's document: when its generation was last verified as a whole,
//! and how much differed. Written by whoever verifies, under no token, and never with the rest of the record.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::error::Result;
use crate::store::connection::{Builds, call, number_of};
use crate::store::records::BUILDS;

/// The last verification of a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LastVerify {
    /// When it was, in seconds since 1970, by the server's clock.
    pub(crate) at_seconds: f64,
    /// Number of differences that it found.
    pub(crate) differences: u64,
}

impl LastVerify {
    fn read(document: &Document) -> Option<Self> {
        let verified = document.get_document("LastVerify").ok()?;
        let at = verified.get_datetime("At").ok()?.timestamp_millis();
        let differences = verified.get("Differences").and_then(number_of)?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact")]
        let at_seconds = at as f64 / 1000.0;
        Some(Self { at_seconds, differences: u64::try_from(differences).unwrap_or(0) })
    }
}

impl Builds<'_> {
    /// Notes that a generation was verified as a whole just now. Whoever may only read notes nothing, and is
    /// told: the verification is worth the same.
    pub(crate) async fn note_verified(self, projection: &str, generation: u32, differences: u64) {
        let builds = self.store.collection(BUILDS);
        let filter = doc! { "Projection": projection, "Generation": i64::from(generation) };
        let differences = i64::try_from(differences).unwrap_or(i64::MAX);
        let set = doc! { "$set": { "LastVerify": { "At": "$$NOW", "Differences": differences } } };
        let note = async move { builds.update_one(filter, vec![set]).await };
        if let Err(error) = call("noting the verification", note).await {
            let error = error.with_sources();
            tracing::info!(projection, generation, error, "that it was verified can't be noted");
        }
    }

    /// The last verifications of generations, by projection and number, as far as there are any.
    pub(crate) async fn last_verified(self) -> Result<HashMap<(String, u32), LastVerify>> {
        let builds = self.store.db.collection::<Document>(BUILDS);
        let find = async move {
            let only = doc! { "Projection": 1, "Generation": 1, "LastVerify": 1 };
            let filter = doc! { "LastVerify": { "$exists": true } };
            builds.find(filter).projection(only).await?.try_collect::<Vec<Document>>().await
        };
        let found: Vec<Document> = call("reading the last verifications", find).await?;
        let read = |build: &Document| {
            let projection = build.get("Projection").and_then(Bson::as_str)?.to_owned();
            let generation = u32::try_from(build.get("Generation").and_then(number_of)?).ok()?;
            Some(((projection, generation), LastVerify::read(build)?))
        };
        Ok(found.iter().filter_map(read).collect())
    }
}
