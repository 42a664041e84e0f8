//! Adopted generations: built by an application, recorded by us, never written.

use bson::doc;
use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::Spec;

use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::pipeline::ports::{PartitionRecord, SnapshotSink, Term};
use crate::plan::{Partition, StreamRange};
use crate::store::builds::BuildStore;
use crate::store::connection::{Snapshots, call};
use crate::store::control::Mandate;
use crate::store::records::{BUILDS, BuildOrigin, BuildRecord, PlaceRecord, TargetRecord};

/// A sink that writes the records of an adopted build, but none of its snapshots.
pub(crate) struct RecordsOnly(pub(crate) BuildStore);

impl SnapshotSink for RecordsOnly {
    fn insert(&self, _: usize, _: &[&[u8]], _: bool) -> BoxFuture<'static, Result<Term>> {
        futures::future::ready(Err(Error::Bug("an adopted generation is never written".into()))).boxed()
    }

    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<bool>> {
        self.0.forget(partition.number).boxed()
    }

    fn finish<'a>(
        &'a self,
        partition: &'a Partition,
        record: &'a PartitionRecord,
        terms: &'a [Term],
    ) -> BoxFuture<'a, Result<()>> {
        self.0.finish(partition, record, terms)
    }
}

impl BuildRecord {
    /// The record of an adopted generation, beside an event store in a database of this name. It is retired
    /// until it is active, so that no run resumes it.
    pub(crate) fn adopted(
        spec: &Spec,
        generation: u32,
        collections: &[String],
        ranges: Vec<StreamRange>,
        origin: BuildOrigin,
        own: &str,
    ) -> Self {
        let targets = spec.targets().iter().zip(collections).map(|(target, collection)| TargetRecord {
            target: target.collection().to_owned(),
            staging: String::new(),
            collection: collection.clone(),
            dropping: None,
            place: PlaceRecord::of(target, own),
        });
        let new = Self::new(spec, generation, targets.collect(), ranges, origin);
        Self { state: BuildState::Retired, adopted: true, ..new }
    }
}

impl Snapshots<'_> {
    /// Removes the record of an interrupted adoption, with its checkpoints, heads and failed streams.
    pub(crate) async fn forget_adopted(self, id: &str, mandate: &Mandate) -> Result<()> {
        let records = self.store.builds().records(None).await?;
        let Some(record) = records.into_iter().find(|record| record.id == id && record.adopted) else {
            return Ok(());
        };
        mandate.check()?;
        let build = self.store.builds().open(record, "");
        build.forget_all().await?;
        let (builds, filter) = (
            self.store.collection(BUILDS),
            doc! { "_id": id, "Adopted": true, "Token": { "$lte": mandate.token } },
        );
        call("removing the record of an adoption", async move { builds.delete_one(filter).await })
            .await
            .map(|_| ())
    }
}
