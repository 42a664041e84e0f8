//! The application changes contents, schemas and languages while these are built, cut over to, followed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::SessionOptions;
use mongodb::{Collection, Database};
use serde_json::{Value, json};
use statefold::{Fencing, Follow, Rebuild, Verification};

use crate::support::database::{Db, eventually};
use crate::support::follow::{end, works};
use crate::support::{commit, no_waiting};

const LANGUAGES: [&str; 4] = ["de", "fr", "it", "es"];
/// Pause between two commits of the writer.
const PAUSE: Duration = Duration::from_millis(2);

/// Writes commits as an application does: each stream has a number that grows, and a fence is waited for.
struct Writer {
    events: Collection<Document>,
    next: HashMap<String, i64>,
    contents: usize,
}

impl Writer {
    fn new(db: &Db) -> Self {
        Self { events: db.collection("Events2"), next: HashMap::new(), contents: 0 }
    }

    async fn append(&mut self, stream: &str, event: &str, own: Value) {
        let mut payload = json!({ "appId": "app,hotels", "actor": "subject:ann", "fromRule": false });
        payload.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let next = self.next.entry(stream.to_owned()).or_insert(-1);
        let one = commit(stream, *next, &[(event, &payload.to_string())]);
        *next += 1;
        // Refused only by a fence.
        while self.events.insert_one(&one).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn content(&mut self, number: usize, event: &str, own: Value) {
        let mut payload = json!({ "contentId": id(number), "schemaId": "posts,posts" });
        payload.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        self.append(&format!("content-app--{}", id(number)), event, payload).await;
    }

    async fn schema(&mut self, event: &str, own: Value) {
        let mut payload = json!({ "schemaId": "posts,posts" });
        payload.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        self.append("schema-app--posts", event, payload).await;
    }

    async fn begin(&mut self) {
        self.append("app-app", "AppCreatedEvent", json!({ "name": "hotels" })).await;
        let title =
            json!({ "name": "title", "partitioning": "language", "properties": { "$type": "StringField" } });
        let schema = json!({ "name": "posts", "fields": [title, related()], "isPublished": true });
        self.schema("SchemaCreatedEventV2", json!({ "schema": schema })).await;
        for _ in 0..150 {
            self.create().await;
        }
    }

    async fn create(&mut self) {
        let number = self.contents;
        self.contents += 1;
        let status = if number.is_multiple_of(3) { "Draft" } else { "Published" };
        let created = json!({ "status": status, "data": data(number, number) });
        self.content(number, "ContentCreatedEventV2", created).await;
    }

    /// One more commit, of many kinds.
    async fn step(&mut self, step: usize) {
        let number = step * 7 % self.contents;
        match step {
            _ if step % 250 == 249 => {
                let language = LANGUAGES[step / 250 % LANGUAGES.len()];
                self.append("app-app", "AppLanguageAddedEvent", json!({ "language": language })).await;
            }
            _ if step % 400 == 199 => {
                self.schema("FieldDeletedEvent", json!({ "fieldId": "2,related" })).await;
                let mut added = related();
                added["fieldId"] = "2,related".into();
                self.schema("FieldAddedEvent", added).await;
            }
            _ if step % 400 == 399 => {
                self.schema("FieldDeletedEvent", json!({ "fieldId": "2,related" })).await;
            }
            _ if step.is_multiple_of(5) => self.create().await,
            _ if step % 5 == 1 => {
                let status = if step.is_multiple_of(2) { "Published" } else { "Draft" };
                self.content(number, "ContentStatusChangedEventV2", json!({ "status": status })).await;
            }
            _ => {
                let data = json!({ "data": data(number, step) });
                self.content(number, "ContentUpdatedEvent", data).await;
            }
        }
    }
}

fn related() -> Value {
    let properties = json!({ "$type": "ReferencesField" });
    json!({ "id": 2, "name": "related", "partitioning": "invariant", "properties": properties })
}

fn id(number: usize) -> String {
    format!("content-{number}")
}

fn data(number: usize, step: usize) -> Value {
    json!({
        "title": { "en": format!("Title {step}"), "de": format!("Titel {step}") },
        "related": { "iv": [id(number / 2)] },
    })
}

/// A snapshot older than a change of the catalogue: to be read again.
const SNAPSHOT_UNAVAILABLE: i32 = 246;

fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(failed) => Some(failed.code),
        _ => None,
    }
}

/// Both documents of a content at one moment, by the pointer of that moment; `None` before there is one.
async fn both(db: &Database, id: &str) -> mongodb::error::Result<Option<[Option<Document>; 2]>> {
    let options = SessionOptions::builder().snapshot(true).build();
    let mut session = db.client().start_session().with_options(options).await?;
    let control = db.collection::<Document>("Migration");
    let pointer = control.find_one(doc! { "_id": "Statefold" }).session(&mut session).await?;
    let generations = pointer.as_ref().and_then(|pointer| pointer.get_document("Generations").ok());
    let Some(contents) = generations.and_then(|all| all.get_document("Contents").ok()) else {
        return Ok(None);
    };
    let mut found = [None, None];
    for (found, name) in found.iter_mut().zip(contents.get_array("Collections").unwrap()) {
        let collection = db.collection::<Document>(name.as_str().unwrap());
        *found = collection.find_one(doc! { "_id": id }).session(&mut session).await?;
    }
    Ok(Some(found))
}

/// Reads both documents of contents over and over. Returns how often there were two.
async fn read(db: Database, stop: Arc<AtomicBool>, contents: Arc<AtomicU64>) -> u64 {
    let (mut seen, mut turn) = (0, 0_u64);
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let id = format!("app--content-{}", turn % contents.load(Ordering::Relaxed).max(1));
        match both(&db, &id).await {
            Ok(Some([all, Some(published)])) => {
                let all = all.unwrap_or_else(|| panic!("{id} is published, and isn't among all"));
                assert_eq!(all.get("vs"), published.get("vs"), "{id}");
                seen += 1;
            }
            Ok(_) => tokio::time::sleep(PAUSE).await,
            Err(error) => assert_eq!(code(&error), Some(SNAPSHOT_UNAVAILABLE), "{error}"),
        }
    }
    seen
}

async fn verified(db: &Db) -> bool {
    let request =
        Verification { projections: vec!["Contents".to_owned()], full: true, ..Verification::default() };
    let settings = db.settings(no_waiting());
    statefold::verify(&settings, &statefold::squidex::registry(), request).await.unwrap().is_equal()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_collections_stay_consistent_and_equal_a_fresh_build_in_the_end() {
    let db = Db::new("live_contents").await;
    db.write(&[]).await;
    let registry = statefold::squidex::registry();
    let mut writer = Writer::new(&db);
    writer.begin().await;
    let (stop, contents) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(150)));
    let steps = Arc::new(AtomicU64::new(0));
    let writing = {
        let (stop, contents, steps) = (Arc::clone(&stop), Arc::clone(&contents), Arc::clone(&steps));
        tokio::spawn(async move {
            for step in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                writer.step(step).await;
                contents.store(writer.contents as u64, Ordering::Relaxed);
                steps.store(step as u64, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        })
    };
    let (stop_reading, database) = (Arc::new(AtomicBool::new(false)), db.db.clone());
    let reading = tokio::spawn(read(database, Arc::clone(&stop_reading), contents));
    let names = ["Apps", "Schemas", "Contents"];
    let first = db.rebuild(&registry, &names, no_waiting()).await.unwrap();
    assert_eq!(first.cut_over[0].fence, Fencing::None);
    let following = statefold::follow(&db.settings(no_waiting()), &registry, Follow::default());
    works(&following).await;
    // Languages, fields and contents have changed while it was followed, and while the next one is built.
    let followed_from = steps.load(Ordering::Relaxed);
    eventually("more commits", || async { steps.load(Ordering::Relaxed) > followed_from + 600 }).await;
    let rebuild = Rebuild { fresh: true, ..Rebuild::of(names) };
    let second = statefold::rebuild(&db.settings(no_waiting()), &registry, rebuild).await.unwrap();
    assert_eq!(second.projections[2].generation, 5);
    let cut_over_at = steps.load(Ordering::Relaxed);
    eventually("more commits", || async { steps.load(Ordering::Relaxed) > cut_over_at + 300 }).await;
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    eventually("the last commits", || verified(&db)).await;
    stop_reading.store(true, Ordering::Relaxed);
    assert!(reading.await.unwrap() > 100);
    end(following).await;
    // Nothing depends on the way it came about.
    let collections = ["States_Contents_All", "States_Contents_Published"];
    let fresh = Rebuild { fresh: true, ..Rebuild::of(["Contents"]) };
    statefold::rebuild(&db.settings(no_waiting()), &registry, fresh).await.unwrap();
    for collection in collections {
        let (followed, fresh) =
            (db.read(&format!("{collection}5")).await, db.read(&format!("{collection}6")).await);
        assert!(!followed.is_empty() && followed == fresh, "{collection}");
    }
}
