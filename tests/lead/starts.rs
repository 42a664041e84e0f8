//! Servers that start inside the test's own process, and what all scenarios look at in the end.

use std::time::Duration;

use bson::{Document, doc};
use statefold::projections::Registry;
use statefold::{Error, LeaseSettings, Migrate, Outcome, Progress, RebuildReport, Running};

use crate::support::{Db, no_waiting};

/// Milliseconds.
pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A lease that is looked at often, waited for without end, and taken over only when it has run out.
pub(crate) fn patient() -> LeaseSettings {
    LeaseSettings { poll: ms(50), judge_processes: false, ..LeaseSettings::default() }
}

/// A database on which servers start with such a lease.
pub(crate) async fn database(test: &str, lease: LeaseSettings, commits: &[Document]) -> Db {
    let mut db = Db::new(test).await;
    db.lease = lease;
    db.write(commits).await;
    db
}

/// Begins the start of a server.
pub(crate) fn start(db: &Db, registry: &Registry) -> Running<Outcome> {
    statefold::migrate(&db.settings(no_waiting()), registry, Migrate::default())
}

/// Starts a server that has to lead; returns its token and what it built.
pub(crate) async fn led(
    starting: impl IntoFuture<Output = statefold::Result<Outcome>>,
) -> (i64, RebuildReport) {
    match starting.await.unwrap() {
        Outcome::Led { token, report: Some(report), .. } => (token, report),
        other => panic!("{other:?}"),
    }
}

/// Starts a server whose start has to fail.
pub(crate) async fn refused(db: &Db, registry: &Registry) -> Error {
    start(db, registry).await.unwrap_err()
}

/// Waits until the progress of a start is one like that.
pub(crate) async fn shown(
    starting: &Running<Outcome>,
    what: &str,
    is: impl FnMut(&Progress) -> bool,
) -> Progress {
    let mut progress = starting.progress();
    let found = tokio::time::timeout(Duration::from_secs(60), progress.wait_for(is)).await;
    found.unwrap_or_else(|_| panic!("waited in vain for {what}")).unwrap().clone()
}

/// What it waits for, once it waits for something with these words.
pub(crate) async fn waits_for(starting: &Running<Outcome>, words: &str) -> String {
    let has = |progress: &Progress| progress.waits_for.as_ref().is_some_and(|line| line.contains(words));
    shown(starting, words, has).await.waits_for.unwrap()
}

/// The control document.
pub(crate) async fn control(db: &Db) -> Document {
    db.one("Migration", "Statefold").await.unwrap()
}

/// The newest token that was given out.
pub(crate) async fn newest_token(db: &Db) -> i64 {
    control(db).await.get_i64("LeaseToken").unwrap()
}

/// Asserts that nobody leads and nobody holds the lock.
pub(crate) async fn assert_free(db: &Db) {
    let control = control(db).await;
    assert!(!control.contains_key("Lease"), "{control}");
    db.assert_unlocked().await;
}

/// Asserts that no staging collection is left.
pub(crate) async fn assert_no_staging(db: &Db) {
    let names = db.collections().await;
    assert!(!names.iter().any(|name| name.contains("__t")), "{names:?}");
}

/// Hash over everything of ours that a start may write, by the server.
pub(crate) async fn hash_of_ours(db: &Db) -> Document {
    let names = db.collections().await;
    let ours =
        |name: &String| name == "Migration" || name.starts_with("Statefold_") || name.starts_with("States_");
    let ours: Vec<String> = names.into_iter().filter(ours).collect();
    let reply = db.db.run_command(doc! { "dbHash": 1, "collections": ours }).await.unwrap();
    reply.get_document("collections").unwrap().clone()
}
