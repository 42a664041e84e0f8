//! Rebuilds a projection of one's own, with an event store and event types of one's own.
//!
//! ```sh
//! MONGODB_URI="$(scripts/mongod start)" cargo run --example own_projection
//! ```
//!
//! With `statefold::cli::main(&registry()?)` as its `main` instead, this program would have the whole
//! command line of statefold for its own projections.

use std::error::Error;

use bson::{Document, doc};
use mongodb::{Client, IndexModel};
use serde::Deserialize;
use statefold::projections::{
    Direction, Event, FoldError, IndexDefinition, Layout, Lookup, OffsetMeaning, Projection, Registry,
    RegistryError, Sink, Spec, StreamFilter, StreamKey, Target,
};
use statefold::{Rebuild, Settings};
use tokio::signal::unix::{SignalKind, signal};

/// Balances of accounts, from what was deposited and withdrawn.
struct Balances(Spec);

/// The payload of `Deposited` and `Withdrawn`, borrowed from the event.
#[derive(Deserialize)]
struct Moved<'a> {
    cents: i64,
    #[serde(borrow)]
    owner: Option<&'a str>,
}

#[derive(Default)]
struct Account {
    cents: i64,
    movements: i32,
    owner: Option<Box<str>>,
}

impl Projection for Balances {
    type State = Account;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, account: &mut Account, event: &Event<'_>) -> Result<(), FoldError> {
        let sign = match event.event_type {
            "Deposited" => 1,
            "Withdrawn" => -1,
            _ => return Ok(()),
        };
        let moved: Moved<'_> = event.payload.parse()?;
        account.cents += sign * moved.cents;
        account.movements += 1;
        if let Some(owner) = moved.owner {
            account.owner = Some(owner.into());
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        account: &Account,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if account.movements == 0 {
            return Ok(());
        }
        out.put(0, |document| {
            document.str_or_null("owner", account.owner.as_deref());
            document.i64("cents", account.cents);
            document.i32("movements", account.movements);
        })
    }
}

/// The event store of this application: other names than Squidex's, offsets that count from 0.
fn layout() -> Layout {
    Layout {
        collection: "Ledger".into(),
        stream: "account".into(),
        offset: "first".into(),
        offset_meaning: OffsetMeaning::FirstEvent,
        count: None,
        timestamp: None,
        events: "entries".into(),
        event_type: "kind".into(),
        payload: "data".into(),
        metadata: "meta".into(),
        since: None,
    }
}

fn registry() -> Result<Registry, RegistryError> {
    let spec = Spec::new("Balances", 1)
        .streams(StreamFilter::prefix("account-"))
        .target(Target::new("Balances").index(IndexDefinition::on([("owner", Direction::Ascending)])));
    let mut registry = Registry::new(layout());
    registry.register(Balances(spec))?;
    Ok(registry)
}

/// Three accounts; the payload may be JSON text, as Squidex has it, or a document.
async fn write_ledger(uri: &str, database: &str) -> Result<(), mongodb::error::Error> {
    let ledger = Client::with_uri_str(uri).await?.database(database).collection::<Document>("Ledger");
    ledger.drop().await?;
    ledger.create_index(IndexModel::builder().keys(doc! { "account": 1, "first": 1 }).build()).await?;
    let entry =
        |kind: &str, cents: i64| doc! { "kind": kind, "data": { "cents": cents, "owner": "household" } };
    let commit = |account: &str, first: i32, entries: Vec<Document>| {
        doc! { "account": account, "first": first, "entries": entries }
    };
    ledger
        .insert_many([
            commit("account-1", 0, vec![entry("Deposited", 500), entry("Withdrawn", 120)]),
            commit("account-2", 0, vec![doc! { "kind": "Deposited", "data": "{\"cents\": 70}" }]),
            commit("account-1", 2, vec![entry("Deposited", 20)]),
            commit("other-3", 0, vec![entry("Deposited", 1)]),
        ])
        .await?;
    Ok(())
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::var("MONGODB_URI")
        .map_err(|_| "set MONGODB_URI, for example to $(scripts/mongod start)")?;
    let database = std::env::var("STATEFOLD_DATABASE").unwrap_or_else(|_| "statefold_example".into());
    write_ledger(&uri, &database).await?;

    let running = statefold::rebuild(&Settings::new(uri, database)?, &registry()?, Rebuild::default());
    let mut progress = running.progress();
    let watcher = tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            println!("{}", progress.borrow_and_update().line());
        }
    });
    let (stop, mut interrupt, mut terminate) =
        (running.cancellation(), signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut running = running.into_future();
    let result = tokio::select! {
        result = &mut running => result,
        // What is built so far is kept: the next rebuild resumes there.
        () = async { tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} } } => {
            stop.cancel();
            running.await
        }
    };
    watcher.await?;
    let report = match result {
        Err(statefold::Error::Interrupted) => {
            println!("stopped");
            return Ok(());
        }
        result => result?,
    };
    for built in &report.projections {
        println!("{}: {} snapshots in {}", built.projection, built.snapshots, built.collections.join(", "));
    }
    Ok(())
}
