//! What may not fit isn't begun by hand, unless it is told to.

use crate::support::{Db, OwnServer};

#[test]
fn a_rebuild_that_the_oplog_may_not_hold_is_refused_with_numbers() {
    let server = OwnServer::start("margin", &["--oplog-mb", "1"]);
    let db = Db::at(server.uri.clone());
    db.run(&["fixture", "--commits", "30000"], 0);
    let plan = db.run(&["plan", "-o", "json"], 0).json();
    let room = &plan["capacity"];
    assert_eq!(room["oplog_bytes"], 1 << 20, "{room}");
    assert!(room["oplog_added_bytes"].as_u64().unwrap() > 1 << 20, "{room}");
    assert!(room["disk_free_bytes"].as_u64().unwrap() > room["disk_bytes"].as_u64().unwrap(), "{room}");
    assert_eq!(room["shortages"].as_array().unwrap().len(), 1, "{room}");
    let text = db.run(&["plan"], 0).stdout;
    assert!(text.contains("into an oplog of 1.0 MiB, which reaches back"), "{text}");

    let before = db.collections();
    let refused = db.run(&["rebuild", "Assets", "AssetFolders", "--yes", "-o", "json"], 1);
    assert_eq!(refused.json()["error"]["code"], "refused");
    assert!(refused.stderr.contains("to the oplog and the application"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--ignore-margin"), "{}", refused.stderr);
    // But for the control document of the lease.
    assert_eq!(db.collections().len(), before.len() + 1);
    db.run(&["rebuild", "--yes", "--ignore-margin"], 0);
    // A server that starts is only warned.
    db.run(&["cleanup", "--purge", "--yes"], 0);
    let started = db.run(&["migrate"], 0);
    assert!(started.stderr.contains("the build may not fit"), "{}", started.stderr);
}
