//! A rebuild from flags to snapshots.

use bson::doc;

use crate::support::{Db, asset, commit};

#[test]
fn a_rebuild_without_yes_shows_the_plan_and_changes_nothing() {
    let db = Db::with(&[asset("a")]);
    let done = db.run(&["rebuild", "assets"], 0);
    assert!(done.stdout.contains("States_Assets3"), "{}", done.stdout);
    assert!(
        done.stderr.contains("Nothing was changed. To do it: statefold rebuild assets --yes"),
        "{}",
        done.stderr
    );
    assert_eq!(db.collections(), ["Events2"]);
}

#[test]
fn generations_count_up_and_the_pointer_follows() {
    let db = Db::with(&[asset("a"), asset("b")]);
    db.wait(async { db.collection("States_Assets2").insert_one(doc! { "_id": "old" }).await }).unwrap();
    let first = db.run(&["rebuild", "ASSETS", "assetfolders", "--yes", "-o", "json"], 0).json();
    assert_eq!(first["projections"][0]["generation"], 3);
    assert_eq!(first["projections"][0]["snapshots"], 2);
    assert_eq!(first["projections"][1]["collections"][0], "States_AssetFolders3");
    let second = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    assert_eq!(second["projections"][0]["generation"], 4);
    assert_eq!(first["projections"][0]["digest"], second["projections"][0]["digest"]);
    // The former generations are as they were.
    assert_eq!(db.read("States_Assets2"), [doc! { "_id": "old" }]);
    assert_eq!(db.read("States_Assets3"), db.read("States_Assets4"));

    let status = db.run(&["status", "-o", "json"], 0).json();
    let assets = &status["projections"][0];
    assert_eq!(
        (assets["state"].as_str(), assets["active_generation"].as_u64()),
        (Some("up_to_date"), Some(4))
    );
    assert_eq!(assets["previous_generations"], serde_json::json!([3]));
    assert_eq!(status["lock"]["held"], false);
}

#[test]
fn status_check_tells_by_its_exit_code_that_work_is_pending() {
    let db = Db::with(&[asset("a")]);
    let status = db.run(&["status", "--check", "-o", "json"], 4).json();
    assert_eq!(status["projections"][0]["state"], "behind");
    let next = status["next_steps"][0].as_str().unwrap();
    assert!(
        next.starts_with("statefold rebuild Assets AssetFolders Apps Teams Schemas Rules Contents --yes"),
        "{next}"
    );
}

#[test]
fn a_start_brings_up_to_date_what_the_settings_name_and_what_that_requires() {
    let db = Db::with(&[asset("a")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("statefold.toml");
    std::fs::write(&file, "[squidex]\nprojections = [\"contents\"]\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let check = [&["status", "--check", "-o", "json"], &config[..]].concat();
    let hint = db.run(&check, 4).json()["next_steps"][0].as_str().unwrap().to_owned();
    assert!(hint.starts_with("statefold rebuild Apps Schemas Contents --yes"), "{hint}");
    assert!(hint.contains(&format!("--config '{}'", file.display())), "{hint}");
    db.run(&[&["migrate"], &config[..]].concat(), 0);
    db.run(&check, 0);
    let built = db.collections().into_iter().filter(|name| name.starts_with("States_"));
    let wanted = ["States_Apps2", "States_Contents_All4", "States_Contents_Published4", "States_Schemas2"];
    assert_eq!(built.collect::<Vec<_>>(), wanted);
    std::fs::write(&file, "[squidex]\nvalues = \"xml\"\nasset_shards = 101\n").unwrap();
    let refused = db.run(&[&["plan"], &config[..]].concat(), 2);
    assert!(refused.stderr.contains("`xml` is not") && refused.stderr.contains("101"), "{}", refused.stderr);
}

#[test]
fn the_plan_counts_what_would_be_read() {
    let db = Db::with(&[asset("a"), asset("b"), asset("c")]);
    let plan = db.run(&["plan", "Assets", "-o", "json"], 0).json();
    assert_eq!(plan["projections"][0]["estimate"]["commits"], 3);
    assert_eq!(plan["projections"][0]["generation"], 3);
    assert_eq!(plan["projections"][0]["estimate"]["snapshots"], 3);
}

#[test]
fn a_fixture_is_made_once_added_to_and_never_mixed_with_real_events() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "500", "--append", "--yes"], 2);
    db.run(&["fixture", "--commits", "500"], 0);
    let again = db.run(&["fixture", "--commits", "500"], 2);
    assert!(again.stderr.contains("append to it"), "{}", again.stderr);
    let more = db.run(&["fixture", "--commits", "100", "--append", "--yes", "-o", "json"], 0).json();
    assert_eq!(more["commits_total"], 600);
    assert_eq!(db.read("Events2").len(), 600);
    db.run(&["rebuild", "--yes"], 0);

    let real = Db::with(&[asset("a")]);
    let refused = real.run(&["fixture", "--commits", "500", "--append", "--yes"], 2);
    assert!(refused.stderr.contains("no fixture made"), "{}", refused.stderr);
    assert_eq!(real.read("Events2").len(), 1);
}

#[test]
fn rules_with_a_step_of_an_unknown_plugin_are_kept_and_counted_or_fail() {
    let rule = |id: &str, step: &str| {
        let step = serde_json::json!({ "step": { "stepType": step, "topic": "contents" } });
        let payload = serde_json::json!({
            "ruleId": id, "appId": "app,my-app", "actor": "subject:someone", "isEnabled": true,
            "trigger": { "triggerType": "ManualTrigger" },
            "flow": { "steps": { "12345678-abcd-4cde-babe-987654321001": step } },
        });
        commit(&format!("rule-app--{id}"), -1, &[("RuleCreatedEventV2", &payload.to_string())])
    };
    let db = Db::with(&[rule("1", "Kafka"), rule("2", "Script"), rule("3", "Kafka")]);
    let kept = db.run(&["rebuild", "Rules", "--yes"], 0);
    let said = "Rules: 2 streams with a trigger or step of an unknown plugin, kept as it stands";
    assert!(kept.stdout.contains(said), "{}", kept.stdout);
    let kept = db.run(&["rebuild", "Rules", "--yes", "-o", "json"], 0).json();
    assert_eq!(kept["projections"][0]["remark"]["streams"], 2);
    let failed =
        db.run(&["rebuild", "Rules", "--rules", "fail", "--max-errors", "2", "--yes", "-o", "json"], 0);
    let failed = failed.json();
    assert_eq!(
        (&failed["projections"][0]["failed_streams"], &failed["projections"][0]["remark"]),
        (&2.into(), &serde_json::Value::Null)
    );
}
