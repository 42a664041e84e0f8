//! The two-phase rule: what an older release can't live with waits until no server of it runs.

use statefold::{CutOverMode, Error, LeaseSettings, Rebuild};

use crate::support::commits::generated;
use crate::support::database::eventually;
use crate::support::versions::assets_of;
use crate::support::{Db, no_waiting};

async fn active(db: &Db) -> Option<String> {
    let pointer = db.pointer("Assets").await?;
    Some(pointer.get("Active").unwrap().to_string())
}

fn by(mode: CutOverMode) -> Rebuild {
    Rebuild { mode: Some(mode), ..Rebuild::of(["Assets"]) }
}

#[tokio::test]
async fn readers_of_one_name_are_switched_when_the_last_older_server_is_gone() {
    let mut db = Db::new("gate").await;
    db.lease = LeaseSettings { wait_limit: None, ..db.lease.clone() };
    db.write(&generated(300, 41)).await;
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &assets_of(1), by(CutOverMode::View)).await.unwrap();
    let older = statefold::register_instance(&settings, &assets_of(1)).await.unwrap();
    let newer = statefold::register_instance(&settings, &assets_of(2)).await.unwrap();

    let running = statefold::rebuild(&settings, &assets_of(2), by(CutOverMode::View));
    let mut progress = running.progress();
    let waits = progress.wait_for(|progress| progress.waits_for.is_some());
    let waits =
        tokio::time::timeout(std::time::Duration::from_secs(60), waits).await.unwrap().unwrap().clone();
    assert!(
        waits.waits_for.as_ref().is_some_and(|what| what.contains("can't read the new version")),
        "{waits:?}"
    );
    // Everything that both releases can live with is done; status names whom it waits for.
    assert_eq!(active(&db).await.as_deref(), Some("3"));
    let status = statefold::status(&settings, &assets_of(2)).await.unwrap();
    let build = status.projections[0].building.as_ref().unwrap();
    assert!(build.can_cut_over && build.older_servers.len() == 1, "{build:?}");
    older.close().await.unwrap();
    running.await.unwrap();
    assert_eq!(active(&db).await.as_deref(), Some("4"));
    newer.close().await.unwrap();
}

#[tokio::test]
async fn it_is_said_after_the_limit_and_force_does_not_wait() {
    let db = Db::new("gate_limit").await;
    db.write(&generated(300, 41)).await;
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &assets_of(1), by(CutOverMode::View)).await.unwrap();
    let older = statefold::register_instance(&settings, &assets_of(1)).await.unwrap();
    let error = statefold::rebuild(&settings, &assets_of(2), by(CutOverMode::View)).await.unwrap_err();
    assert!(matches!(&error, Error::NotCutOver { reason, .. } if reason.contains("can't read")), "{error}");
    assert_eq!(active(&db).await.as_deref(), Some("3"));
    let forced = Rebuild { force: true, ..by(CutOverMode::View) };
    statefold::cutover(&settings, &assets_of(2), forced).await.unwrap();
    assert_eq!(active(&db).await.as_deref(), Some("4"));
    older.close().await.unwrap();
}

#[tokio::test]
async fn servers_that_choose_by_version_are_not_waited_for() {
    let db = Db::new("gate_pointer").await;
    db.write(&generated(300, 41)).await;
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &assets_of(1), by(CutOverMode::Pointer)).await.unwrap();
    let older = statefold::register_instance(&settings, &assets_of(1)).await.unwrap();
    statefold::rebuild(&settings, &assets_of(2), by(CutOverMode::Pointer)).await.unwrap();
    assert_eq!(active(&db).await.as_deref(), Some("4"));
    eventually("it to be listed", || async {
        !statefold::instances(&settings, &assets_of(2)).await.unwrap().is_empty()
    })
    .await;
    older.close().await.unwrap();
}
