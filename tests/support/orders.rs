//! Projections and an event store of another application than Squidex.

use bson::{Document, doc};
use mongodb::IndexModel;
use statefold::projections::{
    Direction, Event, FoldError, IndexDefinition, Layout, Lookup, OffsetMeaning, Projection, Registry, Sink,
    Spec, StreamFilter, StreamKey, Target,
};

use super::Db;

/// One document an order: the events it had.
pub(crate) struct Orders(Spec);

impl Orders {
    fn new(version: u32) -> Self {
        let index = IndexDefinition::on([("events", Direction::Descending)]);
        let target = Target::new("Orders").index(index);
        Self(Spec::new("Orders", version).streams(StreamFilter::prefix("order-")).target(target))
    }

    /// Writes streams, two events a commit, with the index the engine reads by.
    pub(crate) async fn write(db: &Db, streams: &[(&str, &[&str])]) {
        let index = IndexModel::builder().keys(doc! { "stream": 1, "offset": 1 }).build();
        db.collection("Journal").create_index(index).await.unwrap();
        for (stream, types) in streams {
            for (commit, types) in (0_i64..).zip(types.chunks(2)) {
                Self::append(db, stream, commit * 2, types).await;
            }
        }
    }

    /// Appends a commit, given the number of its first event.
    pub(crate) async fn append(db: &Db, stream: &str, first: i64, types: &[&str]) {
        let events: Vec<Document> =
            types.iter().map(|name| doc! { "kind": *name, "body": { "by": "someone" } }).collect();
        let commit = doc! { "stream": stream, "offset": first, "events": events };
        db.collection("Journal").insert_one(commit).await.unwrap();
    }
}

impl Projection for Orders {
    type State = Vec<String>;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        if event.event_type == "Broken" {
            return Err(FoldError::Refused("broken on purpose".into()));
        }
        state.push(event.event_type.to_owned());
        Ok(())
    }

    fn snapshots(
        &self,
        _: &StreamKey<'_>,
        state: &Self::State,
        _: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        out.put_document(0, &doc! { "events": state })
    }
}

/// Two documents an invoice; the second one has what its order, of the same id, had.
pub(crate) struct Invoices(Spec);

impl Invoices {
    pub(crate) fn new() -> Self {
        let spec = Spec::new("Invoices", 1).streams(StreamFilter::prefix("invoice-"));
        let unique = IndexDefinition::on([("number", Direction::Ascending)]).unique();
        Self(
            spec.target(Target::new("Invoices").index(unique))
                .target(Target::new("InvoicedOrders"))
                .requires("Orders"),
        )
    }
}

impl Projection for Invoices {
    type State = i64;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, state: &mut i64, _: &Event<'_>) -> Result<(), FoldError> {
        *state += 1;
        Ok(())
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &i64,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        out.put_document(0, &doc! { "number": key.id(), "events": *state })?;
        match others.snapshot("Orders", key.id()) {
            None => Ok(()),
            Some(order) => {
                let order = Document::try_from(order.to_owned()).unwrap();
                out.put_document(1, &doc! { "order": order.get_array("events").unwrap().clone() })
            }
        }
    }
}

/// Both projections, over the layout of their event store.
pub(crate) fn orders_registry(version_of_orders: u32) -> Registry {
    registry_with(version_of_orders, Invoices::new())
}

/// Orders, and other invoices.
pub(crate) fn registry_with(version_of_orders: u32, invoices: impl Projection) -> Registry {
    let layout = Layout {
        collection: "Journal".into(),
        stream: "stream".into(),
        offset: "offset".into(),
        offset_meaning: OffsetMeaning::FirstEvent,
        count: None,
        timestamp: None,
        events: "events".into(),
        event_type: "kind".into(),
        payload: "body".into(),
        metadata: "headers".into(),
        since: None,
    };
    let mut registry = Registry::new(layout);
    registry.register(Orders::new(version_of_orders)).unwrap().register(invoices).unwrap();
    registry
}
