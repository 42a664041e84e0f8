//! The recipe "Adopting on a running Squidex" of docs/squidex.md: each of its lines is run, in order, while
//! a simulated Squidex works on the same database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use mongodb::Database;
use mongodb::error::{ErrorKind, WriteFailure};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::recipe;
use crate::shared::commits::{asset_created, asset_renamed, asset_stream, commit, generated};
use crate::shared::database::assert_same;
use crate::shared::oracle;
use crate::support::{Db, done};

/// Commits that each asset gets.
const COMMITS: usize = 4;
/// Events that Squidex must have stored between two lines.
const BETWEEN: u64 = 20;

/// Squidex, as far as it matters here: appends events, then replaces the snapshot of the version it read, all
/// along under the one name it knows. Reads count the snapshots.
struct Squidex {
    stop: Arc<AtomicBool>,
    stored: Arc<AtomicU64>,
    users: Vec<JoinHandle<Seen>>,
    reader: JoinHandle<u64>,
}

/// What the users of one server saw.
#[derive(Default)]
struct Seen {
    commits: Vec<Document>,
    /// Snapshots that were there in another version.
    conflicts: u64,
    /// Queries that were ended.
    ended: u64,
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}

impl Squidex {
    fn start(db: &Db, at_least: u64) -> Self {
        let (stop, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let user = |user| tokio::spawn(users(db.db(), user, Arc::clone(&stop), Arc::clone(&stored)));
        let users = db.wait(async { (0..3).map(user).collect() });
        let reader = db.spawn(reads(db.db(), Arc::clone(&stop), at_least));
        Self { stop, stored, users, reader }
    }

    /// Waits until it has done some more work.
    fn works_on(&self) {
        let (from, began) = (self.stored.load(Ordering::Relaxed), Instant::now());
        while self.stored.load(Ordering::Relaxed) < from + BETWEEN {
            assert!(began.elapsed() < Duration::from_secs(60), "Squidex stands still");
            assert!(!self.reader.is_finished(), "a reader saw an error, or too few snapshots");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self, db: &Db) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for user in self.users {
            let seen = db.wait(user).unwrap();
            all.commits.extend(seen.commits);
            all.conflicts += seen.conflicts;
        }
        all.ended = db.wait(self.reader).unwrap();
        all
    }
}

/// Assets are created and renamed, one after the other.
async fn users(db: Database, user: usize, stop: Arc<AtomicBool>, stored: Arc<AtomicU64>) -> Seen {
    let (events, snapshots) =
        (db.collection::<Document>("Events2"), db.collection::<Document>("States_Assets2"));
    let mut seen = Seen::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, step) = (format!("app-{user}-{}", number / COMMITS), number % COMMITS);
        let (name, event) = match step {
            0 => ("AssetCreatedEventV2", asset_created(&id)),
            _ => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{number}.png"))),
        };
        let offset = i64::try_from(step).unwrap() - 1;
        let one = commit(&asset_stream(&id), offset, &[(name, &event)]);
        events.insert_one(&one).await.unwrap();
        seen.commits.push(one);
        let own = &seen.commits[seen.commits.len() - 1 - step..];
        let (id, snapshot) = oracle::assets(own).pop_first().unwrap();
        let version = snapshot.get("vs").and_then(Bson::as_i64).unwrap();
        let filter = doc! { "_id": &id, "vs": version - 1 };
        if let Err(error) = snapshots.replace_one(filter, snapshot).upsert(true).await {
            // Folded already, or the one before isn't folded yet: the event was stored just before the flip.
            assert_eq!(code(&error), Some(11_000), "{error}");
            seen.conflicts += 1;
        }
        stored.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    seen
}

/// Queries under the one name: they never find fewer snapshots than before, and none fails, except that one
/// which runs at the very moment of a renaming may be ended with error 175.
async fn reads(db: Database, stop: Arc<AtomicBool>, at_least: u64) -> u64 {
    let snapshots = db.collection::<Document>("States_Assets2");
    let mut ended = 0;
    while !stop.load(Ordering::Relaxed) {
        match snapshots.count_documents(doc! {}).await {
            Ok(count) => assert!(count >= at_least, "{count} of {at_least}"),
            Err(error) if code(&error) == Some(175) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    ended
}

/// UUID of the collection that has the name Squidex knows.
fn uuid(db: &Db) -> Bson {
    let filter = doc! { "listCollections": 1, "filter": { "name": "States_Assets2" } };
    let listed = db.wait(async { db.db().run_command(filter).await }).unwrap();
    let first = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].clone();
    first.as_document().unwrap().get_document("info").unwrap().get("uuid").unwrap().clone()
}

fn snapshots(db: &Db) -> Vec<String> {
    db.collections().into_iter().filter(|name| name.starts_with("States_")).collect()
}

fn pointer(db: &Db) -> Document {
    let control = db
        .read("Migration")
        .into_iter()
        .find(|one| one.get_str("_id").is_ok_and(|id| id == "Statefold"))
        .unwrap();
    control.get_document("Generations").unwrap().get_document("Assets").unwrap().clone()
}

/// What a step says it cut over to.
fn assert_cut_over(said: &Value, generation: u64) {
    assert_eq!(said["projections"][0]["generation"], generation, "{said}");
    assert_eq!(said["projections"][0]["collections"][0], "States_Assets2", "{said}");
    assert_eq!(said["cut_over"][0]["fence"], "none", "{said}");
    assert!(said["cut_over"][0]["drain_ms"].as_f64().unwrap() > 0.0, "{said}");
}

#[test]
fn every_line_of_the_recipe_does_what_it_says_while_squidex_works() {
    let mut commits = generated(600, 41);
    let db = Db::with(&commits);
    let found = oracle::assets(&commits);
    let at_least = found.len() as u64;
    db.wait(async { db.collection("States_Assets2").insert_many(found.into_values()).await }).unwrap();
    let (theirs, names) = (uuid(&db), db.collections());
    let squidex = Squidex::start(&db, at_least);
    let mut typed = Vec::new();
    for line in recipe::lines("docs/squidex.md", "Adopting on a running Squidex") {
        let words = recipe::words(&line);
        assert_eq!(words[0], "statefold", "{line}");
        squidex.works_on();
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let said = done(db.statefold(&arguments).args(["-o", "json"]), 0).json();
        typed.push(words[1].clone());
        squidex.works_on();
        match typed.len() {
            1 => {
                assert_eq!(said["projections"][0]["generation"], 3, "{said}");
                assert_eq!(db.collections(), names);
            }
            2 => {
                assert_eq!(said["projections"][0]["collections"][0], "States_Assets2");
                assert!(said["projections"][0]["streams"].as_u64().unwrap() >= at_least);
                assert_eq!(db.collections(), names);
            }
            3 => {
                assert_eq!((&said["adopted"], &said["generation"]), (&true.into(), &2.into()), "{said}");
                assert_eq!((uuid(&db), snapshots(&db)), (theirs.clone(), vec!["States_Assets2".to_owned()]));
                assert_eq!(pointer(&db).get_str("Mode").unwrap(), "rename");
            }
            4 => {
                assert_eq!(said["postponed"], true, "{said}");
                assert!(snapshots(&db)[1].starts_with("States_Assets3__t"));
                assert_eq!(uuid(&db), theirs);
            }
            5 => {
                assert_cut_over(&said, 3);
                assert_ne!(uuid(&db), theirs);
                assert_eq!(snapshots(&db), ["States_Assets2", "States_Assets2__g2"]);
            }
            6 => {
                assert_eq!(said["projections"][0]["generation"], 3, "{said}");
                assert!(said["projections"][0]["snapshots"].as_u64().unwrap() > at_least, "{said}");
            }
            7 => {
                assert_cut_over(&said, 2);
                assert_eq!(snapshots(&db), ["States_Assets2", "States_Assets2__g3"]);
            }
            8 => {
                assert_cut_over(&said, 3);
                assert_eq!(snapshots(&db), ["States_Assets2", "States_Assets2__g2"]);
            }
            _ => assert_eq!(snapshots(&db), ["States_Assets2"], "{said}"),
        }
    }
    let expected =
        ["plan", "verify", "adopt", "rebuild", "cutover", "verify", "rollback", "rollback", "cleanup"];
    assert_eq!(typed, expected);
    squidex.works_on();
    let seen = squidex.end(&db);
    commits.extend(seen.commits);
    let stored: std::collections::BTreeMap<String, Document> = db
        .read("States_Assets2")
        .into_iter()
        .map(|snapshot| (snapshot.get_str("_id").unwrap().to_owned(), snapshot))
        .collect();
    assert_same(&stored, &oracle::assets(&commits));
    assert_eq!(db.read("Events2").len(), commits.len());
    // Squidex has noticed nothing but some conflicts at three cut-overs: no event was refused.
    assert!(seen.conflicts <= 30, "{} conflicts", seen.conflicts);
    assert!(seen.ended <= 3, "{} queries ended", seen.ended);
    let after = db.run(&["verify", "-o", "json"], 0).json();
    assert!(after["projections"][0]["digest"].is_string(), "{after}");
}
