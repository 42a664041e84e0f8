//! The rules of teams, one test a rule.

use bson::doc;
use serde_json::{Value, json};
use statefold_projections::squidex::Teams;
use statefold_projections::testing::{Given, given};

use crate::apps::{assert_unchanged, member};
use crate::support::{at, snapshot};

fn team() -> Given {
    with(given(Teams::new()).stream("team-one").headers(at(1)), "TeamCreatedEvent", json!({ "name": "t" }))
        .headers(at(2))
}

fn with(given: Given, event_type: &str, own: Value) -> Given {
    let mut all = json!({ "teamId": "one", "actor": "subject:ann", "fromRule": false });
    all.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    given.event(event_type, all)
}

#[test]
fn a_team_has_every_element_in_order() {
    let scheme = json!({ "domain": "d", "unknown": 1, "DisplayName": "n" });
    let given = with(team(), "TeamAuthChanged", json!({ "scheme": scheme }));
    let given =
        with(given, "TeamContributorAssignedEvent", json!({ "contributorId": "bob", "role": "Owner" }));
    let given = with(given, "TeamSomethingEvent", json!({}));
    with(given, "TeamDeleted", json!({ "actor": "client:c" })).then_snapshot(doc! {
        "_id": "one",
        "Doc": {
            "name": "t", "contributors": { "bob": "Owner" }, "plan": null,
            "authScheme": {
                "domain": "d", "displayName": "n", "clientId": null, "clientSecret": null, "authority": null,
                "signoutRedirectUrl": null,
            },
            "isDeleted": true, "id": "one", "createdBy": "subject:ann", "lastModifiedBy": "client:c",
            "created": "1970-01-01T00:00:01Z", "lastModified": "1970-01-01T00:00:02Z", "version": 3.0,
        },
        "Version": 4_i64, "_ui": ["ann", "bob"], "_dl": true, "_ct": bson::DateTime::from_millis(1000),
        "_ad": "d",
    });
}

#[test]
fn what_changes_nothing_leaves_no_trace() {
    for (event_type, own) in [
        ("TeamUpdatedEvent", json!({ "name": "t" })),
        ("TeamPlanResetEvent", json!({})),
        ("TeamAuthChanged", json!({ "scheme": null })),
        ("TeamContributorRemovedEvent", json!({ "contributorId": "bob" })),
        ("AppCreatedEvent", json!({})),
    ] {
        assert_unchanged(&with(team(), event_type, own), &team());
    }
    assert_eq!(member(&with(team(), "TeamUpdatedEvent", json!({ "name": "T" })), "name"), r#""T""#);
}

#[test]
fn a_deleted_team_can_be_changed() {
    let plan = with(team(), "TeamPlanChangedEvent", json!({ "planId": "p" }));
    let deleted = with(plan, "TeamDeleted", json!({}));
    assert_eq!(member(&deleted, "plan"), "null");
    let renamed = with(deleted, "TeamUpdatedEvent", json!({ "name": "u" }));
    assert_eq!((member(&renamed, "name"), member(&renamed, "isDeleted")), (r#""u""#.into(), "true".into()));
    let created = with(renamed, "TeamCreatedEvent", json!({ "name": "v" }));
    assert!(!snapshot(&created).contains_key("_dl"));
    assert_eq!(member(&created, "version"), "4.0");
}

#[test]
fn what_must_not_be_empty_fails_the_stream() {
    for (event_type, own) in [
        ("TeamUpdatedEvent", json!({ "name": null })),
        ("TeamPlanChangedEvent", json!({ "planId": "" })),
        ("TeamContributorAssignedEvent", json!({ "contributorId": null, "role": "Owner" })),
        ("TeamContributorRemovedEvent", json!({ "contributorId": "" })),
    ] {
        with(team(), event_type, own).then_fails("refused");
    }
    with(team(), "TeamAuthChanged", json!({ "scheme": "s" })).then_fails("payload");
}
