//! Read-only mode: who is refused, what it survives, what it leaves behind, and cut-overs under it.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::error::{ErrorKind, WriteFailure};
use statefold::{
    Error, Fence, FenceKind, Migrate, Outcome, Rebuild, Settings, read_only_off, read_only_on,
    read_only_status,
};

use crate::support::commits::{generated, good_asset};
use crate::support::database::{assert_same, eventually};
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, fail_command, no_waiting, oracle, squidex};

/// Options of the event store, as the server lists them.
pub(crate) async fn options(db: &mongodb::Database) -> Document {
    let filter = doc! { "name": "Events2" };
    let mut found = db.list_collections().filter(filter).await.unwrap();
    let found = found.try_next().await.unwrap().unwrap();
    bson::serialize_to_document(&found.options).unwrap()
}

/// What refused an insert.
async fn refusal(db: &Db) -> Option<Fence> {
    let refused = db.collection("Events2").insert_one(&good_asset("refused")[0]).await.unwrap_err();
    let ErrorKind::Write(WriteFailure::WriteError(error)) = refused.kind.as_ref() else {
        panic!("{refused}")
    };
    assert_eq!(error.code, 121);
    Fence::in_error_details(error.details.as_ref().unwrap())
}

fn settings(db: &Db) -> Settings {
    db.settings(no_waiting())
}

#[tokio::test]
async fn it_refuses_events_by_name_until_it_is_lifted_and_leaves_the_options_as_they_were() {
    let db = Db::new("read_only").await;
    db.write(&good_asset("1")).await;
    let former = doc! {
        "collMod": "Events2", "validator": { "EventStream": { "$exists": true } },
        "validationLevel": "moderate", "validationAction": "warn",
    };
    db.db.run_command(former).await.unwrap();
    let before = options(&db.db).await;

    let on = read_only_on(&settings(&db), &squidex(), Some("moving house")).await.unwrap();
    assert!(on.changed && !on.can_write, "{on:?}");
    let fence = refusal(&db).await.unwrap();
    assert_eq!((fence.kind, fence.reason.as_str()), (FenceKind::ReadOnly, "moving house"));
    assert_eq!(on.fence.as_ref(), Some(&fence));
    assert!(fence.since.is_some() && fence.owner.contains(&format!("(pid {})", std::process::id())));
    let status = statefold::status(&settings(&db), &squidex()).await.unwrap();
    assert_eq!((status.can_write, status.fence.as_ref()), (false, Some(&fence)));
    db.assert_unlocked().await;

    // Once more: the same is fine, another reason isn't ours to replace.
    for same in [None, Some("moving house")] {
        assert!(!read_only_on(&settings(&db), &squidex(), same).await.unwrap().changed);
    }
    let other = read_only_on(&settings(&db), &squidex(), Some("something else")).await.unwrap_err();
    assert!(matches!(&other, Error::ReadOnly { reason, .. } if reason == "moving house"), "{other:?}");

    let off = read_only_off(&settings(&db), &squidex()).await.unwrap();
    assert!(off.changed && off.can_write, "{off:?}");
    assert_eq!(off.lifted, Some(fence));
    assert_eq!(options(&db.db).await, before);
    let control = db.one("Migration", "Statefold").await.unwrap();
    assert!(!control.contains_key("Fence"), "{control}");
    db.append(&good_asset("2")).await;
    let again = read_only_off(&settings(&db), &squidex()).await.unwrap();
    assert!(!again.changed && again.lifted.is_none(), "{again:?}");
}

#[tokio::test]
async fn it_survives_restarts_and_no_leader_lifts_it() {
    let server = OwnServer::start("read_only");
    let db = Db::at(&server.uri, "read_only_restart").await;
    let commits = generated(600, 95);
    db.write(&commits).await;
    read_only_on(&settings(&db), &squidex(), Some("until tomorrow")).await.unwrap();
    server.kill().await;
    server.restart();
    // Everything that leads leaves it: a start that has to build, one that hasn't, a rebuild.
    let outcome = statefold::migrate(&settings(&db), &squidex(), Migrate::default()).await.unwrap();
    let Outcome::Led { report: Some(report), .. } = outcome else { panic!("{outcome:?}") };
    assert!(
        report.cut_over.iter().all(|one| one.fenced && one.read_only && one.fence_ms == 0.0),
        "{report:?}"
    );
    let outcome = statefold::migrate(&settings(&db), &squidex(), Migrate::default()).await.unwrap();
    assert_eq!(outcome, Outcome::UpToDate);
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert!(report.cut_over[0].read_only && report.cut_over[0].tries == 1, "{report:?}");
    for generation in [3, 4] {
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
    assert_eq!(refusal(&db).await.unwrap().reason, "until tomorrow");
    assert!(read_only_off(&settings(&db), &squidex()).await.unwrap().can_write);
}

#[tokio::test]
async fn the_note_of_a_fence_that_was_never_raised_is_forgotten_by_the_next_leader() {
    let db = Db::new("read_only_noted").await;
    db.write(&generated(300, 95)).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    // As if the process had died between the note and the fence.
    let note = doc! { "Statefold": "read-only", "Reason": "never", "Token": 1_i64, "FormerOptions": {} };
    let control = db.collection("Migration");
    control.update_one(doc! { "_id": "Statefold" }, doc! { "$set": { "Fence": note } }).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let control = db.one("Migration", "Statefold").await.unwrap();
    assert!(!control.contains_key("Fence"), "{control}");
    // One that stands is kept, with its note.
    read_only_on(&settings(&db), &squidex(), None).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert!(db.one("Migration", "Statefold").await.unwrap().contains_key("Fence"));
    assert!(refusal(&db).await.is_some());
    read_only_off(&settings(&db), &squidex()).await.unwrap();
}

#[tokio::test]
async fn a_fence_that_is_lifted_while_a_rebuild_is_at_work_leaves_nothing_out() {
    let db = Db::new("read_only_lifted").await;
    let mut commits = generated(600, 96);
    db.write(&commits).await;
    read_only_on(&settings(&db), &squidex(), None).await.unwrap();
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&settings(&db), &gated, Rebuild::default());
    gate.reached().await;
    let refused = read_only_on(&settings(&db), &squidex(), Some("another")).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    let off = read_only_off(&settings(&db), &squidex()).await.unwrap();
    assert!(off.changed && off.is_led, "{off:?}");
    let late = good_asset("late");
    db.append(&late).await;
    commits.extend(late);
    gate.open();
    let report = running.await.unwrap();
    assert!(!report.cut_over[0].fenced && !report.cut_over[0].read_only, "{report:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert!(!options(&db.db).await.contains_key("validator"));
}

/// Number of pings of the engine that the server keeps waiting.
async fn pings(db: &Db) -> usize {
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true } },
        doc! { "$match": { "appName": &db.app, "active": true, "command.ping": { "$exists": true } } },
    ];
    let found = db.db.client().database("admin").aggregate(pipeline).await.unwrap();
    found.try_collect::<Vec<Document>>().await.unwrap().len()
}

#[tokio::test]
async fn a_cut_over_whose_read_only_mode_is_ended_in_the_middle_is_made_again() {
    let server = OwnServer::start("read_only_middle");
    let db = Db::at(&server.uri, "read_only_middle").await;
    let mut commits = generated(300, 99);
    db.write(&commits).await;
    read_only_on(&settings(&db), &squidex(), None).await.unwrap();
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&settings(&db), &gated, Rebuild::default());
    let mut progress = running.progress();
    gate.reached().await;
    // Whoever asks for the time waits for it: the cut-over does so after it saw the fence.
    let slow = doc! { "failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 2000 };
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, slow).await;
    gate.open();
    progress.wait_for(|now| now.phase == statefold::Phase::Publishing).await.unwrap();
    eventually("the cut-over to ask for the time", async || pings(&db).await > 0).await;
    let operator = Settings::new(&server.uri, &db.name).unwrap().with_lease(db.lease.clone()).unwrap();
    assert!(read_only_off(&operator, &squidex()).await.unwrap().changed);
    let late = good_asset("late");
    db.append(&late).await;
    commits.extend(late);
    stop_failing(&server.uri).await;
    let report = running.await.unwrap();
    let cut_over = &report.cut_over[0];
    assert!(!cut_over.fenced && !cut_over.read_only && cut_over.tries == 2, "{report:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert!(read_only_status(&operator, &squidex()).await.unwrap().can_write);
}

#[tokio::test]
async fn an_open_transaction_is_waited_for_and_writers_go_on_meanwhile() {
    let mut db = Db::new("read_only_transaction").await;
    db.write(&good_asset("1")).await;
    let mut session = db.db.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    db.collection("Events2").insert_many(good_asset("open")).session(&mut session).await.unwrap();
    let busy = read_only_on(&settings(&db), &squidex(), None).await.unwrap_err();
    assert!(matches!(&busy, Error::FenceBusy { reason, .. } if reason.contains("transaction")), "{busy:?}");
    db.append(&good_asset("meanwhile")).await;
    assert!(read_only_status(&settings(&db), &squidex()).await.unwrap().can_write);
    db.assert_unlocked().await;

    db.lease.wait_limit = Some(Duration::from_secs(60));
    let patient = settings(&db);
    let on = tokio::spawn(async move { read_only_on(&patient, &squidex(), None).await });
    let is_noted =
        async || db.one("Migration", "Statefold").await.is_some_and(|one| one.contains_key("Fence"));
    eventually("a first try", &is_noted).await;
    eventually("its end", || async { !is_noted().await }).await;
    session.commit_transaction().await.unwrap();
    assert!(on.await.unwrap().unwrap().changed);
    assert!(refusal(&db).await.is_some());
}

#[tokio::test]
async fn a_copy_that_was_made_behind_the_fence_is_opened_without_its_control_document() {
    let db = Db::new("read_only_original").await;
    let copy = Db::new("read_only_copy").await;
    db.write(&good_asset("1")).await;
    let former = doc! { "collMod": "Events2", "validator": { "EventStream": { "$type": "string" } } };
    db.db.run_command(former).await.unwrap();
    let before = options(&db.db).await;
    read_only_on(&settings(&db), &squidex(), Some("copying")).await.unwrap();
    let mut create = doc! { "create": "Events2" };
    create.extend(options(&db.db).await);
    copy.db.run_command(create).await.unwrap();
    assert_eq!(refusal(&copy).await.unwrap().reason, "copying");

    let off = read_only_off(&settings(&copy), &squidex()).await.unwrap();
    assert_eq!(off.lifted.unwrap().reason, "copying");
    assert_eq!(options(&copy.db).await, before);
    copy.append(&good_asset("2")).await;
    assert!(refusal(&db).await.is_some(), "the original was opened too");
}

#[tokio::test]
async fn the_fence_of_a_cut_over_is_named_and_lifted_only_when_nobody_leads() {
    let mut db = Db::new("read_only_orphan").await;
    // Alive is who renews in time.
    db.lease.ttl = Duration::from_millis(600);
    db.write(&generated(300, 97)).await;
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&settings(&db), &gated, Rebuild::default());
    gate.reached().await;
    let refused = read_only_on(&settings(&db), &squidex(), None).await.unwrap_err();
    assert!(matches!(refused, Error::LeaseHeld { .. }), "{refused:?}");
    let record = doc! { "Statefold": "fence", "Reason": "cut-over", "Host": "gone", "FormerOptions": {} };
    let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
    db.db.run_command(doc! { "collMod": "Events2", "validator": refuse }).await.unwrap();
    let status = read_only_status(&settings(&db), &squidex()).await.unwrap();
    assert!(status.is_led && status.fence.unwrap().kind == FenceKind::CutOver);
    let refused = read_only_off(&settings(&db), &squidex()).await.unwrap_err();
    assert!(matches!(refused, Error::LeaseHeld { .. }), "{refused:?}");
    running.cancellation().cancel();
    gate.open();
    assert!(matches!(running.await.unwrap_err(), Error::Interrupted));

    let off = read_only_off(&settings(&db), &squidex()).await.unwrap();
    assert!(off.changed && off.can_write && off.lifted.unwrap().kind == FenceKind::CutOver);
    assert!(!options(&db.db).await.contains_key("validator"));
}

#[tokio::test]
async fn without_the_role_it_is_said_and_nothing_is_left_behind() {
    let server = OwnServer::start_with("read_only_roles", &["--auth"]);
    let db = Db::at(&server.uri, "read_only_roles").await;
    db.write(&good_asset("1")).await;
    let user = doc! { "createUser": "writer", "pwd": "secret", "roles": ["readWrite"] };
    db.db.run_command(user).await.unwrap();
    let host = server.uri.split('@').nth(1).unwrap().split('/').next().unwrap();
    let uri = format!("mongodb://writer:secret@{host}/?directConnection=true&authSource={}", db.name);
    let writer = Settings::new(uri, &db.name).unwrap().with_lease(db.lease.clone()).unwrap();
    let refused = read_only_on(&writer, &squidex(), None).await.unwrap_err();
    assert!(matches!(&refused, Error::Permission { doing, .. } if doing.contains("dbAdmin")), "{refused:?}");
    assert!(!db.one("Migration", "Statefold").await.unwrap().contains_key("Fence"));
    db.assert_unlocked().await;
    read_only_on(&settings(&db), &squidex(), None).await.unwrap();
    let refused = read_only_off(&writer, &squidex()).await.unwrap_err();
    assert!(matches!(&refused, Error::Permission { doing, .. } if doing.contains("dbAdmin")), "{refused:?}");
}

#[tokio::test]
async fn a_standalone_server_cuts_over_behind_it_too() {
    let server = OwnServer::start_with("read_only_standalone", &["--standalone"]);
    let db = Db::at(&server.uri, "read_only_standalone").await;
    let commits = generated(300, 98);
    db.write(&commits).await;
    read_only_on(&settings(&db), &squidex(), None).await.unwrap();
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert!(report.cut_over[0].read_only, "{report:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert!(refusal(&db).await.is_some());
    assert!(read_only_off(&settings(&db), &squidex()).await.unwrap().changed);
    db.append(&good_asset("after")).await;
}

#[tokio::test]
async fn a_database_without_event_store_is_refused() {
    let db = Db::new("read_only_nothing").await;
    for refused in [
        read_only_on(&settings(&db), &squidex(), None).await,
        read_only_off(&settings(&db), &squidex()).await,
        read_only_status(&settings(&db), &squidex()).await,
    ] {
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }
    assert_eq!(db.collections().await, Vec::<String>::new());
}
