//! A server that opens its port first, migrates in the background, serves reads meanwhile, and reports
//! that it is ready afterwards.
//!
//! ```sh
//! MONGODB_URI=… STATEFOLD_DATABASE=… cargo run --example server -- 127.0.0.1:8080
//! curl -i localhost:8080/livez; curl -i localhost:8080/readyz; curl localhost:8080/assets
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use serde_json::{Value, json};
use statefold::{ActiveGeneration, Migrate, Settings, migrate, register_instance, squidex};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// The projection that is served, and the version of it this program reads.
const PROJECTION: &str = "Assets";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let uri = std::env::var("MONGODB_URI").map_err(|_| "set MONGODB_URI")?;
    let name = std::env::var("STATEFOLD_DATABASE").map_err(|_| "set STATEFOLD_DATABASE")?;
    let (settings, registry) = (Settings::new(&uri, &name)?, squidex::registry());
    let version = registry.get(PROJECTION)?.spec().version();

    // The port first: a probe that finds nobody listening would end this server.
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let hook = |outcome: statefold::Outcome| async move {
        println!("{}", outcome.line());
        Ok(())
    };
    let migrating = migrate(&settings, &registry, Migrate::default().then(hook));
    let stop = migrating.cancellation();
    let reads = Arc::new(Reads { db: Client::with_uri_str(&uri).await?.database(&name), version });
    let app = statefold::http::router(migrating.progress(), None)
        .merge(Router::new().route("/assets", get(assets)).with_state(reads));
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move { ended.notified().await });
    let server = tokio::spawn(serving.into_future());

    let instance = register_instance(&settings, &registry).await?;
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let mut migrating = migrating.into_future();
    let migrated = tokio::select! {
        migrated = &mut migrating => migrated.map(|_| ()),
        () = &mut stopped => {
            // Gives the lease back; what is built so far is kept for the next server.
            stop.cancel();
            migrating.await.map(|_| ())
        }
    };
    if migrated.is_ok() && !stop.is_cancelled() {
        println!("ready");
        stopped.await;
    }
    println!("stopping");
    // Requests that are being answered are answered to their end.
    end.notify_one();
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    instance.close().await?;
    match migrated {
        Err(statefold::Error::Interrupted) if stop.is_cancelled() => Ok(()),
        migrated => Ok(migrated?),
    }
}

/// Ends at Ctrl-C, or at the SIGTERM of whoever runs servers: an orchestrator, `systemctl stop`.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The state of the read route.
struct Reads {
    db: Database,
    version: u32,
}

/// The newest snapshots of the generation this program can read, also while the next one is built.
async fn assets(State(reads): State<Arc<Reads>>) -> Result<Json<Value>, (StatusCode, String)> {
    let failed = |error: &dyn Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let migration = reads.db.collection::<Document>("Migration");
    let control = migration.find_one(doc! { "_id": "Statefold" }).await;
    let control = control.map_err(|error| failed(&error))?.unwrap_or_default();
    let pointer = control.get_document("Generations").and_then(|all| all.get_document(PROJECTION));
    let active: Option<ActiveGeneration> =
        pointer.ok().and_then(|pointer| bson::deserialize_from_document(pointer.clone()).ok());
    let Some(collection) = active.as_ref().and_then(|active| active.collection_of(reads.version)) else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "there is no generation to read yet\n".into()));
    };
    let snapshots = reads.db.collection::<Document>(collection);
    let found = snapshots.find(doc! { "dl": false }).sort(doc! { "mt": -1 }).limit(10).await;
    let found: Vec<Document> =
        found.map_err(|error| failed(&error))?.try_collect().await.map_err(|error| failed(&error))?;
    let found: Vec<Value> =
        found.into_iter().map(|snapshot| Bson::Document(snapshot).into_relaxed_extjson()).collect();
    Ok(Json(json!({ "collection": collection, "assets": found })))
}
