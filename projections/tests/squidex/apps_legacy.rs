//! Events of apps from former versions of Squidex.

use serde_json::{Value, json};

use crate::apps::{app, assert_unchanged, member, with};

#[test]
fn permissions_became_roles() {
    let assigned = |permission: Value| {
        let own = json!({ "contributorId": "bob", "permission": permission });
        with(app(), "AppContributorAssignedEvent", own)
    };
    for (permission, role) in [
        (json!("editor"), "Editor"),
        (json!(1), "Developer"),
        (json!("0"), "Owner"),
        (json!("Owner"), "Owner"),
    ] {
        assert_eq!(member(&assigned(permission), "contributors"), format!(r#"{{"bob":"{role}"}}"#));
    }
    assigned(json!(7)).then_fails("refused");
    assigned(json!("Boss")).then_fails("payload");
    let client = || with(app(), "AppClientAttachedEvent", json!({ "id": "c", "secret": "s" }));
    let updated = with(client(), "AppClientUpdatedEvent", json!({ "id": "c", "permission": "Reader" }));
    assert!(member(&updated, "clients").ends_with(r#""role":"Reader"}}"#));
    let unknown = json!({ "id": "c", "permission": 7 });
    assert_unchanged(&with(client(), "AppClientUpdatedEvent", unknown), &client());
    let renamed = with(client(), "AppClientRenamedEvent", json!({ "id": "c", "name": "n" }));
    assert!(member(&renamed, "clients").starts_with(r#"{"c":{"name":"n""#));
    let changed = json!({ "id": "c", "isReader": true });
    assert_unchanged(&with(client(), "AppClientChangedEvent", changed), &client());
}

#[test]
fn a_blank_plan_was_a_reset() {
    let plan = || with(app(), "APPPLANCHANGED", json!({ "planId": "p" }));
    assert_eq!(member(&plan(), "plan"), r#"{"owner":"subject:ann","planId":"p"}"#);
    assert_eq!(member(&with(plan(), "AppPlanChanged", json!({ "planId": " " })), "plan"), "null");
    assert_unchanged(&with(app(), "AppPlanChanged", json!({})), &app());
}

#[test]
fn the_only_workflow_has_the_empty_id() {
    let configured = || with(app(), "AppWorkflowConfiguredEvent", json!({ "workflow": { "initial": "x" } }));
    let expected = concat!(
        r#"{"00000000-0000-0000-0000-000000000000":"#,
        r#"{"initial":"x","name":"Unnamed","steps":{},"schemaIds":[]}}"#
    );
    assert_eq!(member(&configured(), "workflows"), expected);
    let same = json!({ "workflowId": null, "workflow": { "name": " Unnamed", "initial": "x" } });
    assert_unchanged(&with(configured(), "AppWorkflowUpdatedEvent", same), &configured());
    let unknown = json!({ "workflowId": "w", "workflow": { "initial": "x" } });
    assert_unchanged(&with(configured(), "AppWorkflowUpdatedEvent", unknown), &configured());
    let added = || with(app(), "AppWorkflowAddedEvent", json!({ "workflowId": "w", "name": " n " }));
    assert!(member(&added(), "workflows").contains(r#""name":"n""#));
    assert_unchanged(
        &with(added(), "AppWorkflowAddedEvent", json!({ "workflowId": "w", "name": "m" })),
        &added(),
    );
    assert_eq!(
        member(&with(added(), "AppWorkflowDeletedEvent", json!({ "workflowId": "w" })), "workflows"),
        "{}"
    );
}

#[test]
fn patterns_became_settings() {
    let settings = || {
        let patterns = json!([{ "name": "a", "regex": "x", "message": "m" }, { "name": "b", "regex": "y" }]);
        let own = json!({ "patterns": patterns, "editors": [{ "name": "e" }], "hideScheduler": true });
        with(app(), "AppSettingsUpdatedEvent", json!({ "settings": own }))
    };
    let of = |event_type: &str, name: &str| {
        let own = json!({ "patternId": "p", "name": name, "pattern": "x", "message": "n" });
        with(settings(), event_type, own)
    };
    let rest = |is_hidden: bool| {
        let editors = r#""editors":[{"name":"e","url":null}]"#;
        format!(r#"{editors},"hideScheduler":{is_hidden},"hideDateTimeModeButton":false}}"#)
    };
    let b = r#"{"name":"b","regex":"y","message":null}"#;
    let expected = format!(r#"{{"patterns":[{b},{{"name":"a","regex":"x","message":"n"}}],{}"#, rest(true));
    assert_eq!(member(&of("AppPatternAddedEvent", "a"), "settings"), expected);
    let (a, new) = (r#"{"name":"a","regex":"x","message":"m"}"#, r#"{"name":"b","regex":"x","message":"n"}"#);
    let expected = format!(r#"{{"patterns":[{a},{b},{new}],{}"#, rest(false));
    assert_eq!(member(&of("AppPatternUpdatedEvent", "b"), "settings"), expected);
    let deleted = with(settings(), "AppPatternDeletedEvent", json!({ "patternId": "p" }));
    assert_unchanged(&deleted, &settings());
    assert_unchanged(&with(settings(), "AppSettingsUpdatedEvent", json!({})), &settings());
}

#[test]
fn an_archived_app_is_deleted() {
    assert_eq!(member(&with(app(), "AppArchivedEvent", json!({})), "isDeleted"), "true");
}
