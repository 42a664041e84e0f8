//! Contents: the fold of their events, and the documents of `States_Contents_All` and
//! `States_Contents_Published`.
//!
//! `state` has the rules of the fold, `document` the form of the documents, `references` and `translation`
//! what they say about the data; `schema`, `shapes` and `components` have what is needed of apps and schemas.

pub use dedicated::DedicatedSchema;

use super::shard;
use crate::Direction::{Ascending, Descending};
use crate::{
    Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};
use dedicated::Dedicated;
use document::Documents;
use event::ContentEvent;
use schema::{App, Schema};
use shapes::Shapes;
use state::Content;

mod components;
mod data;
mod dedicated;
mod document;
mod event;
mod payload;
mod references;
mod schema;
mod shapes;
mod state;
mod translation;

/// Contents of all apps, into `States_Contents_All` and `States_Contents_Published`.
///
/// The references and the translation status of a content depend on the snapshots of its app, its schema and
/// the schemas of its components; of a deleted app or schema there are none, as in Squidex. What is read from
/// these snapshots is remembered, up to a bound.
///
/// Squidex gives a schedule a random id in every rebuild. Here `sj._id` is the id of the event that scheduled
/// the change (its header `EventId`), or `{number}--{key}` of the event and its stream where that is missing,
/// so that two builds are equal.
///
/// Squidex itself writes generation 3 of both collections, so statefold starts with 4.
#[derive(Debug)]
pub struct Contents {
    spec: Spec,
    apps: Shapes<App>,
    schemas: Shapes<Schema>,
    shards: u32,
    dedicated: Dedicated,
}

impl Contents {
    /// The projection, into one collection for each target.
    #[must_use]
    pub fn new() -> Self {
        Self::with_shards(0)
    }

    /// The projection, for a Squidex that divides its contents into so many collections
    /// (`contentShardCount`): `States_Contents_All4_0` and so on, by the hash of the app's id.
    #[must_use]
    pub fn with_shards(shards: u32) -> Self {
        let target = |collection| {
            Target::new(collection)
                .index(IndexDefinition::on([
                    ("mt", Descending),
                    ("id", Ascending),
                    ("_ai", Ascending),
                    ("_si", Ascending),
                    ("dl", Ascending),
                    ("rf", Ascending),
                ]))
                .index(IndexDefinition::on([("_si", Ascending), ("dl", Ascending), ("mt", Descending)]))
                .index(IndexDefinition::on([("rf", Ascending), ("_ai", Ascending), ("dl", Ascending)]))
                .index(IndexDefinition::on([
                    ("sa", Ascending),
                    ("dl", Ascending),
                    ("_ai", Ascending),
                    ("_si", Ascending),
                ]))
        };
        // A permanent delete empties a stream and leaves one event in another one.
        let streams = StreamFilter::prefix("content-").without_suffix("--deleted");
        let spec = Spec::new("Contents", 1).first_generation(4).streams(streams);
        let spec = shard::divided(spec, &target("States_Contents_All"), shards);
        let spec = shard::divided(spec, &target("States_Contents_Published"), shards);
        let spec = spec.requires("Apps").requires("Schemas");
        // Squidex refreshes references and translation status only when the content itself is written.
        let spec = spec.volatile("sj._id").derived("rf").derived("ts").also_in_databases_beside();
        let (apps, schemas) = (Shapes::of("States_Apps"), Shapes::of("States_Schemas"));
        Self { spec, apps, schemas, shards, dedicated: Dedicated::default() }
    }

    /// Also writes the contents of these schemas into databases of their apps
    /// (`contents:optimizeForSelfHosting`): `{database}.States_Contents_All4_{schema id}` and so on.
    #[must_use]
    pub fn dedicated(mut self, schemas: &[DedicatedSchema]) -> Self {
        (self.spec, self.dedicated) = Dedicated::of(self.spec, schemas);
        self
    }

    /// Puts the collections into a database of their own (`store:mongoDb:contentDatabase`).
    #[must_use]
    pub fn in_database(mut self, name: &str) -> Self {
        self.spec = self.spec.in_database(name);
        self
    }
}

impl Default for Contents {
    fn default() -> Self {
        Self::new()
    }
}

impl Projection for Contents {
    type State = Content;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, content: &mut Content, event: &Event<'_>) -> Result<(), FoldError> {
        let Some((mut base, change)) = ContentEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = base.take_actor()?;
        let is_created = matches!(change, ContentEvent::Created(_));
        if matches!(change, ContentEvent::Ignored) || content.entity.is_deleted && !is_created {
            return Ok(());
        }
        match change {
            ContentEvent::Created(created) => content.create(&base, &created),
            ContentEvent::Updated(updated) => content.update(updated.data.as_ref())?,
            ContentEvent::DraftCreated(created) => content.create_draft(&created)?,
            ContentEvent::DraftDeleted => {
                content.end_draft();
                content.cancel_schedule();
            }
            ContentEvent::StatusChanged(status) => content.change_status(&status)?,
            ContentEvent::StatusScheduled(scheduled) => content.schedule(&scheduled, event, actor.as_ref()),
            ContentEvent::SchedulingCancelled => content.cancel_schedule(),
            ContentEvent::Deleted => content.entity.is_deleted = true,
            ContentEvent::Ignored => {}
        }
        content.entity.changed(event, actor);
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        content: &Content,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Self { apps, schemas, shards, dedicated, .. } = self;
        Documents { apps, schemas, shards: *shards, dedicated, others }.write(content, out)
    }

    fn state_bytes(&self, content: &Content) -> usize {
        size_of_val(content) + content.entity.heap_bytes()
    }
}
