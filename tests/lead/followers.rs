//! Followers: they see who leads and how far it is, and run their hook when the data are there.

use std::sync::{Arc, Mutex};

use statefold::{Error, LeaseSettings, Migrate, Outcome, Phase};

use crate::starts::{assert_free, database, led, ms, patient, shown, start};
use crate::support::commits::generated;
use crate::support::versions::assets_of;
use crate::support::{Gate, no_waiting, squidex};

#[tokio::test]
async fn the_hook_runs_on_every_server_after_the_data_are_there() {
    let db = database("hooks", patient(), &generated(300, 4)).await;
    let seen: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let hook = || {
        let (seen, settings) = (Arc::clone(&seen), db.settings(no_waiting()));
        Migrate::default().then(move |outcome| {
            let (seen, settings) = (Arc::clone(&seen), settings.clone());
            async move {
                for projection in ["Assets", "AssetFolders"] {
                    let active = statefold::active_generation(&settings, &squidex(), projection).await?;
                    assert_eq!(active.expect(projection).active, 3);
                }
                seen.lock().unwrap().push(outcome);
                Ok(())
            }
        })
    };
    let starting: Vec<_> =
        (0..4).map(|_| statefold::migrate(&db.settings(no_waiting()), &squidex(), hook())).collect();
    let mut outcomes = Vec::new();
    for one in starting {
        outcomes.push(one.await.unwrap());
    }
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 4);
    assert!(outcomes.iter().all(|outcome| seen.contains(outcome)));
    assert_eq!(outcomes.iter().filter(|one| matches!(one, Outcome::Led { .. })).count(), 1);
}

#[tokio::test]
async fn the_hook_of_a_follower_waits_for_the_leader() {
    let db = database("hook_waits", patient(), &generated(300, 4)).await;
    let (gated, gate) = Gate::assets(|_| true);
    let leading = start(&db, &gated);
    gate.reached().await;
    let ran = Arc::new(Mutex::new(false));
    let of_hook = Arc::clone(&ran);
    let hook = Migrate::default().then(move |_| {
        *of_hook.lock().unwrap() = true;
        async { Ok(()) }
    });
    let following = statefold::migrate(&db.settings(no_waiting()), &assets_of(1), hook);
    shown(&following, "the leader", |progress| progress.leader.is_some()).await;
    assert!(!*ran.lock().unwrap());
    gate.open();
    led(leading).await;
    let outcome = following.await.unwrap();
    assert!(matches!(outcome, Outcome::Followed { .. }), "{outcome:?}");
    assert!(*ran.lock().unwrap());
}

#[tokio::test]
async fn a_start_is_ready_only_after_all_projections_and_its_hook() {
    let db = database("ready_after_hook", patient(), &generated(100, 4)).await;
    let go = Arc::new(tokio::sync::Notify::new());
    let goes = Arc::clone(&go);
    let hook = Migrate::default().then(move |_| {
        let goes = Arc::clone(&goes);
        async move {
            goes.notified().await;
            Ok(())
        }
    });
    let starting = statefold::migrate(&db.settings(no_waiting()), &squidex(), hook);
    let mut progress = starting.progress();
    // Both are built, one after the other; then the hook waits.
    progress
        .wait_for(|progress| {
            assert!(!progress.ready, "{progress:?}");
            progress.projection == "AssetFolders" && progress.phase == Phase::Done
        })
        .await
        .unwrap();
    assert!(!progress.borrow().ready);
    go.notify_one();
    led(starting).await;
    assert!(progress.borrow().ready);
}

#[tokio::test]
async fn a_hook_that_fails_fails_the_start_but_not_the_migration() {
    let db = database("hook_fails", patient(), &generated(100, 4)).await;
    let hook = Migrate::default().then(|_| async { Err(Error::Unsupported("no cache".into())) });
    let error = statefold::migrate(&db.settings(no_waiting()), &squidex(), hook).await.unwrap_err();
    assert_eq!(error.to_string(), "no cache");
    assert_free(&db).await;
    assert_eq!(start(&db, &squidex()).await.unwrap(), Outcome::UpToDate);
}

#[tokio::test]
async fn a_follower_and_whoever_asks_see_who_leads_and_what_it_is_doing() {
    let lease = LeaseSettings { renew: Some(ms(100)), ..patient() };
    let db = database("leader_seen", lease, &generated(300, 4)).await;
    let (gated, gate) = Gate::assets(|_| true);
    let leading = start(&db, &gated);
    gate.reached().await;
    let following = start(&db, &assets_of(1));
    let at_work = |leader: Option<&statefold::Leader>| {
        leader.is_some_and(|leader| leader.doing.phase == "building" && leader.doing.projection == "Assets")
    };
    let progress = shown(&following, "the leader at work", |one| at_work(one.leader.as_ref())).await;
    let leader = progress.leader.clone().unwrap();
    assert_eq!((leader.pid, leader.token, leader.foreign), (Some(std::process::id()), 1, false));
    assert!(!leader.host.is_empty() && leader.since.is_some());
    let line = progress.line();
    for part in ["waiting for", &leader.host, "token 1", "Assets building", "to finish"] {
        assert!(line.contains(part), "{part}: {line}");
    }

    let report = statefold::lock_state(&db.settings(no_waiting()), &squidex()).await.unwrap();
    assert!(report.held && at_work(report.leader.as_ref()), "{report:?}");
    assert_eq!(report.leader.unwrap().owner, leader.owner);

    gate.open();
    led(leading).await;
    assert_eq!(following.await.unwrap(), Outcome::Followed { leader: Some(leader.name()) });
    let report = statefold::lock_state(&db.settings(no_waiting()), &squidex()).await.unwrap();
    assert!(report.leader.is_none() && !report.held);
}
