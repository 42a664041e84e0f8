//! `read-only on|off|status`, as an operator types them.

use bson::doc;

use crate::support::{Db, asset};

#[test]
fn an_operator_makes_the_event_store_read_only_and_opens_it_again() {
    let db = Db::with(&[asset("a")]);
    let status = db.run(&["read-only", "status", "-o", "json"], 0).json();
    assert_eq!((status["can_write"].as_bool(), status["changed"].as_bool()), (Some(true), Some(false)));

    let on = db.run(&["read-only", "on", "--yes", "--reason", "new disks"], 0);
    assert!(on.stdout.contains("refuses events (read-only mode: new disks, raised by "), "{}", on.stdout);
    assert!(on.stderr.contains("statefold read-only off --yes --uri"), "{}", on.stderr);
    let insert = db.wait(async { db.collection("Events2").insert_one(asset("b")).await });
    assert!(insert.unwrap_err().to_string().contains("121"));

    let again = db.run(&["read-only", "on", "--yes"], 0);
    assert!(again.stdout.starts_with("Nothing to do. "), "{}", again.stdout);
    let other = db.run(&["read-only", "on", "--yes", "--reason", "lunch", "-o", "json"], 3).json();
    assert_eq!(other["error"]["code"], "read_only");
    assert!(other["error"]["message"].as_str().unwrap().contains("new disks"), "{other}");

    let status = db.run(&["status", "-o", "json"], 0).json();
    assert_eq!((status["can_write"].as_bool(), &status["fence"]["kind"]), (Some(false), &"read_only".into()));
    assert!(db.run(&["status"], 0).stdout.contains("It stays so until `read-only off --yes`"));

    // A server's start migrates all the same.
    let migrated = db.run(&["migrate", "-o", "json"], 0).json();
    assert_eq!(migrated["report"]["cut_over"][0]["read_only"], true, "{migrated}");
    let rebuilt = db.run(&["rebuild", "Assets", "--yes"], 0);
    assert!(rebuilt.stdout.contains("The event store was read-only all along"), "{}", rebuilt.stdout);

    let off = db.run(&["read-only", "off", "--yes"], 0);
    assert!(off.stdout.starts_with("Lifted: read-only mode: new disks"), "{}", off.stdout);
    assert!(off.stdout.contains("The event store takes events."), "{}", off.stdout);
    db.wait(async { db.collection("Events2").insert_one(asset("b")).await }).unwrap();
    assert!(db.run(&["read-only", "off", "--yes"], 0).stdout.starts_with("Nothing to do. "));
    let setting = db.statefold(&["read-only", "status"]).env("MODE__ISREADONLY", "true").output().unwrap();
    assert!(String::from_utf8(setting.stdout).unwrap().contains("MODE_READONLY"));
}

#[test]
fn the_fence_of_a_cut_over_that_was_cut_short_is_called_so() {
    let db = Db::with(&[asset("a")]);
    let record = doc! { "Statefold": "fence", "Reason": "cut-over", "Host": "gone", "FormerOptions": {} };
    let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
    let fence = doc! { "collMod": "Events2", "validator": refuse };
    db.wait(async { db.db().run_command(fence).await }).unwrap();
    for verb in [vec!["status"], vec!["read-only", "status"]] {
        let shown = db.run(&verb, 0).stdout;
        assert!(shown.contains("(cut-over, raised by gone"), "{shown}");
        assert!(shown.contains("A cut-over was interrupted; whoever leads next lifts it."), "{shown}");
    }
    let off = db.run(&["read-only", "off", "--yes", "-o", "json"], 0).json();
    assert_eq!((&off["lifted"]["kind"], off["can_write"].as_bool()), (&"cut_over".into(), Some(true)));
}

#[test]
fn a_database_without_event_store_is_a_usage_error() {
    let refused = Db::new().run(&["read-only", "on", "--yes"], 2);
    assert!(refused.stderr.contains("has no event store"), "{}", refused.stderr);
}
