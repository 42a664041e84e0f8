//! What the trait has to carry beside one stream and one document: two targets of which one may be
//! absent, snapshots of another projection, and definitions that are loaded at run time.

use bson::{Bson, doc};
use serde_json::{Value, json};
use statefold_projections::testing::given;
use statefold_projections::{
    Event, FoldError, Lookup, Projection, Registry, RegistryError, Sink, Spec, StreamFilter, StreamKey,
    Target,
};

/// Texts with a draft: the newest version goes to one target, the published one to the other.
struct Articles(Spec);

#[derive(Default)]
struct Article {
    current: Option<String>,
    published: Option<String>,
}

impl Articles {
    fn new() -> Self {
        let spec = Spec::new("Articles", 1)
            .streams(StreamFilter::prefix("article-"))
            .target(Target::new("Articles_All"))
            .target(Target::new("Articles_Published"));
        Self(spec)
    }
}

impl Projection for Articles {
    type State = Article;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, article: &mut Article, event: &Event<'_>) -> Result<(), FoldError> {
        match event.event_type {
            "Written" => article.current = Some(event.payload.parse()?),
            "Published" => article.published.clone_from(&article.current),
            "Withdrawn" => article.published = None,
            _ => {}
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        article: &Article,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        for (target, text) in [&article.current, &article.published].into_iter().enumerate() {
            if let Some(text) = text {
                out.put(target, |document| document.str("text", text))?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_target_may_be_left_out_for_some_states() {
    let written = || given(Articles::new()).stream("article-1").event("Written", json!("draft"));
    let all = |text: &str| ("Articles_All", doc! { "_id": "1", "text": text });
    let published = |text: &str| ("Articles_Published", doc! { "_id": "1", "text": text });
    given(Articles::new()).stream("article-1").event("Published", json!({})).then_nothing();
    written().then_snapshots(&[all("draft")]);
    let twice = || written().event("Published", json!({})).event("Written", json!("second"));
    twice().then_snapshots(&[all("second"), published("draft")]);
    twice().event("Withdrawn", json!({})).then_snapshots(&[all("second")]);
}

/// Orders that show the name of their customer, which another projection has folded.
struct Orders(Spec);

impl Orders {
    fn new() -> Self {
        let streams = StreamFilter::prefix("order-");
        Self(Spec::new("Orders", 1).streams(streams).target(Target::new("Orders")).requires("Customers"))
    }
}

impl Projection for Orders {
    type State = Option<String>;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, customer: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        if event.event_type == "Ordered" {
            *customer = Some(event.payload.parse()?);
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        customer: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Some(customer) = customer else { return Ok(()) };
        let name = others.snapshot("Customers", customer).and_then(|found| found.get_str("name").ok());
        out.put(0, |document| document.str_or_null("customer", name))
    }
}

#[test]
fn a_projection_can_look_into_the_snapshots_of_one_it_requires() {
    let ordered = || given(Orders::new()).stream("order-1").event("Ordered", json!("7"));
    let customer = doc! { "_id": "7", "name": "Ada" };
    ordered().other("Customers", &customer).then_snapshot(doc! { "_id": "1", "customer": "Ada" });
    ordered().other("Suppliers", &customer).then_snapshot(doc! { "_id": "1", "customer": null });
    let error = Registry::default().register(Orders::new()).err();
    assert_eq!(error, Some(RegistryError::Requires("Orders".into(), "Customers".into())));
}

/// Rows whose columns are known at run time only, from a file or a database.
struct Rows {
    spec: Spec,
    columns: Vec<String>,
}

impl Rows {
    fn new(columns: &[&str]) -> Self {
        let spec = Spec::new("Rows", 1).streams(StreamFilter::prefix("row-")).target(Target::new("Rows"));
        Self { spec, columns: columns.iter().map(|&column| column.into()).collect() }
    }
}

impl Projection for Rows {
    type State = Vec<Option<Bson>>;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, row: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        row.resize(self.columns.len(), None);
        let payload: Value = event.payload.parse()?;
        for (value, column) in row.iter_mut().zip(&self.columns) {
            if let Some(text) = payload.get(column).and_then(Value::as_str) {
                *value = Some(text.into());
            }
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        row: &Self::State,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let values = self.columns.iter().zip(row);
        let elements = values.filter_map(|(column, value)| Some((column.clone(), value.clone()?)));
        out.put_document(0, &elements.collect())
    }
}

#[test]
fn definitions_loaded_at_run_time_live_in_the_projection() {
    let row = |columns: &[&str]| {
        given(Rows::new(columns))
            .stream("row-1")
            .event("Changed", json!({ "b": "x", "a": "y" }))
            .event("Changed", json!({ "b": "z", "c": "w" }))
    };
    row(&["a", "b"]).then_snapshot(doc! { "_id": "1", "a": "y", "b": "z" });
    row(&["c"]).then_snapshot(doc! { "_id": "1", "c": "w" });
    row(&[]).then_snapshot(doc! { "_id": "1" });
}
