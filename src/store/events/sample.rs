//! Statistics for the planner: sizes, the server's cache, a random sample of the event store.

use bson::{Document, doc};
use mongodb::options::RunCommandOptions;

use crate::error::{Error, Result};
use crate::plan::{SampledCommit, StoreSample};
use crate::store::connection::{call, number_of, offset_of};
use crate::store::events::source::EventStore;

/// Commits that are sampled for their size if the server doesn't tell it.
const SIZE_SAMPLE: i32 = 1000;

impl EventStore {
    /// Reads the statistics of the event store, with a random sample of so many commits.
    ///
    /// # Errors
    /// The server's error. A server that doesn't tell its cache is no error.
    pub(crate) async fn survey(&self, commits: u32) -> Result<StoreSample> {
        let db = self.db.clone();
        let statistics = doc! { "collStats": &self.layout.collection };
        let statistics = async move { db.run_command(statistics).await };
        let statistics = match call("asking for the event store's size", statistics).await {
            Err(Error::Permission { .. }) => self.size_by_sample().await?,
            other => other?,
        };
        let number = |name: &str| {
            statistics
                .get(name)
                .and_then(number_of)
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0)
        };
        let sample = doc! {
            "aggregate": &self.layout.collection, "cursor": { "batchSize": i64::from(commits) },
            "pipeline": [
                { "$sample": { "size": i64::from(commits) } },
                { "$project": {
                    "_id": 0, "s": format!("${}", self.layout.stream),
                    "o": format!("${}", self.layout.offset),
                } },
            ],
        };
        let sampled = self.documents("sampling the event store", sample, self.from.clone()).await?;
        let commit = |commit: &Document| {
            let stream = commit.get_str("s").ok()?.to_owned();
            Some(SampledCommit { stream, offset: commit.get("o").and_then(offset_of).unwrap_or(i64::MIN) })
        };
        Ok(StoreSample {
            commits: number("count"),
            bytes: number("size"),
            cache_bytes: self.cache_bytes().await,
            shards: if self.routed { Some(self.shard_map().await?) } else { None },
            sampled: sampled.iter().filter_map(commit).collect(),
        })
    }

    /// Statistics for a user who may not run `collStats`: the number of commits, and their size from a
    /// sample.
    async fn size_by_sample(&self) -> Result<Document> {
        tracing::info!("this user may not run collStats: the size of the event store is estimated");
        let commits = self.estimated_count().await?;
        let sample = doc! {
            "aggregate": &self.layout.collection, "cursor": {},
            "pipeline": [
                { "$sample": { "size": SIZE_SAMPLE } },
                { "$group": { "_id": null, "Bytes": { "$avg": { "$bsonSize": "$$ROOT" } } } },
            ],
        };
        let found = self.documents("sampling the event store", sample, self.from.clone()).await?;
        let average = found.first().and_then(|group| group.get_f64("Bytes").ok()).unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = (average * commits as f64) as i64;
        Ok(doc! { "count": i64::try_from(commits).unwrap_or(i64::MAX), "size": bytes })
    }

    /// Size of the server's cache; `None` if this user may not ask for it.
    async fn cache_bytes(&self) -> Option<u64> {
        // Unneeded sections are excluded: some are slow to gather.
        let mut command = doc! { "serverStatus": 1 };
        for section in
            ["metrics", "locks", "repl", "mirroredReads", "tcmalloc", "opLatencies", "transactions"]
        {
            command.insert(section, 0);
        }
        let (admin, options) = (self.db.client().database("admin"), RunCommandOptions::builder());
        let options = options.selection_criteria(self.from.clone()).build();
        let ask = async move { admin.run_command(command).with_options(options).await };
        let reply = call("asking for the server's cache", ask).await;
        let reply = reply.inspect_err(|error| tracing::debug!(error = %error.with_sources())).ok()?;
        let cache = reply.get_document("wiredTiger").ok()?.get_document("cache").ok()?;
        let bytes = cache.get("maximum bytes configured")?;
        number_of(bytes).or_else(|| offset_of(bytes)).and_then(|bytes| u64::try_from(bytes).ok())
    }
}
