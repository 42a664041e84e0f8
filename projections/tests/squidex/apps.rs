//! The rules of apps, one test a rule.

use bson::doc;
use serde_json::{Value, json};
use statefold_projections::squidex::{Apps, ValueRepresentation};
use statefold_projections::testing::{Given, given};

use crate::support::{at, doc_of, payload, snapshot};

/// A stream with a usual app, created in the first second; what follows happens in the second one.
pub(crate) fn app() -> Given {
    given(Apps::new())
        .stream("app-app")
        .headers(at(1))
        .event("AppCreatedEvent", payload(json!({ "name": "hotels" })))
        .headers(at(2))
}

/// The app with one more event, whose payload has these properties.
pub(crate) fn with(given: Given, event_type: &str, own: Value) -> Given {
    given.event(event_type, payload(own))
}

/// A member of `Doc`, as JSON text.
pub(crate) fn member(given: &Given, name: &str) -> String {
    serde_json::to_string(doc_of(given).get(name).unwrap()).unwrap()
}

/// That the last event changed nothing but the number of the stream's last event.
pub(crate) fn assert_unchanged(given: &Given, former: &Given) {
    let (mut document, mut former) = (snapshot(given), snapshot(former));
    let version =
        |document: &mut bson::Document| document.insert("Version", 0_i64).unwrap().as_i64().unwrap();
    assert_eq!(version(&mut document), version(&mut former) + 1);
    assert_eq!(document.to_string(), former.to_string());
}

#[test]
fn a_created_app_has_every_element_in_order() {
    let second = bson::DateTime::from_millis(1000);
    app().then_snapshot(doc! {
        "_id": "app",
        "Doc": {
            "name": "hotels", "label": null, "description": null, "teamId": null, "contributors": {},
            "roles": {}, "plan": null, "clients": {}, "image": null,
            "settings": {
                "patterns": [], "editors": [], "hideScheduler": false, "hideDateTimeModeButton": false,
            },
            "assetScripts": {
                "create": null, "update": null, "annotate": null, "move": null, "delete": null,
                "query": null, "queryPre": null,
            },
            "languages": { "languages": { "en": { "fallback": [], "isOptional": false } }, "master": "en" },
            "workflows": {}, "isDeleted": false, "id": "app", "createdBy": "subject:ann",
            "lastModifiedBy": "subject:ann", "created": "1970-01-01T00:00:01Z",
            "lastModified": "1970-01-01T00:00:01Z", "version": 0.0,
        },
        "Version": 0_i64, "_an": "hotels", "_ui": ["ann"], "_dl": false, "_ct": second,
    });
}

#[test]
fn the_document_can_be_text_or_bytes() {
    let event = payload(json!({ "name": "é" }));
    let stored = |values| {
        let given =
            given(Apps::with_values(values)).stream("app-app").event("AppCreatedEvent", event.clone());
        snapshot(&given).get("Doc").unwrap().clone()
    };
    let text = stored(ValueRepresentation::Text).as_str().unwrap().to_owned();
    assert!(text.starts_with(r#"{"name":"\u00E9","label":null,"#), "{text}");
    assert!(text.ends_with(r#""lastModified":"1970-01-01T00:00:00Z","version":0}"#), "{text}");
    let bson::Bson::Binary(binary) = stored(ValueRepresentation::Binary) else { panic!("no bytes") };
    assert_eq!(binary.bytes, text.as_bytes());
}

#[test]
fn texts_are_set_if_they_differ_in_more_than_case() {
    let labelled = with(app(), "AppUpdatedEvent", json!({ "label": "Äb", "description": null }));
    assert_eq!(member(&labelled, "label"), r#""Äb""#);
    assert_eq!(member(&labelled, "description"), "null");
    let again = || with(app(), "AppUpdatedEvent", json!({ "label": "Äb" }));
    assert_unchanged(&with(again(), "AppUpdatedEvent", json!({ "label": "äB" })), &again());
    let empty = with(again(), "AppUpdatedEvent", json!({ "label": "" }));
    assert_eq!(member(&empty, "label"), r#""""#);
}

#[test]
fn users_are_creator_contributors_and_clients_each_once() {
    let mut all = app();
    for (id, role) in [("zoe", "Owner"), ("ann", "Reader"), ("bob", "Editor"), ("zoe", "Editor")] {
        all = with(all, "AppContributorAssignedEventV2", json!({ "contributorId": id, "role": role }));
    }
    all = with(all, "AppClientAttachedEvent", json!({ "id": "bob", "secret": "s" }));
    all = with(all, "AppClientAttachedEvent", json!({ "id": "c1", "secret": "s", "role": " Reader " }));
    assert_eq!(member(&all, "contributors"), r#"{"zoe":"Editor","ann":"Reader","bob":"Editor"}"#);
    let users = snapshot(&all).get_array("_ui").unwrap().clone();
    assert_eq!(users, ["ann", "zoe", "bob", "c1"].map(bson::Bson::from).to_vec());
    let clients = member(&all, "clients");
    assert!(clients.contains(r#""name":"c1","secret":"s","apiCallsLimit":0.0"#), "{clients}");
    assert!(clients.ends_with(r#""allowAnonymous":false,"role":"Reader"}}"#), "{clients}");
    let removed = with(all, "AppContributorRemovedEvent", json!({ "contributorId": "ann" }));
    assert_eq!(member(&removed, "contributors"), r#"{"zoe":"Editor","bob":"Editor"}"#);
}

#[test]
fn a_client_takes_what_is_given_and_valid() {
    let client = || with(app(), "AppClientAttachedEvent", json!({ "id": "c", "secret": "s" }));
    let updated = |own: Value| {
        let mut all = json!({ "id": "c" });
        all.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        with(client(), "AppClientUpdatedEventV2", all)
    };
    let all = json!({
        "name": " n ", "role": "R", "apiCallsLimit": "7", "apiTrafficLimit": 8, "allowAnonymous": true,
    });
    let expected = concat!(
        r#"{"c":{"name":" n ","secret":"s","apiCallsLimit":7.0,"apiTrafficLimit":8.0,"#,
        r#""allowAnonymous":true,"role":"R"}}"#
    );
    assert_eq!(member(&updated(all), "clients"), expected);
    let nothing = json!({ "name": " ", "role": "", "apiCallsLimit": -1, "allowAnonymous": null });
    assert_unchanged(&updated(nothing), &client());
    let again = json!({ "id": "c", "secret": "other" });
    assert_unchanged(&with(client(), "AppClientAttachedEvent", again), &client());
    assert_unchanged(&with(client(), "AppClientRevokedEvent", json!({ "id": "d" })), &client());
    assert_eq!(member(&with(client(), "AppClientRevokedEvent", json!({ "id": "c" })), "clients"), "{}");
}

#[test]
fn what_must_not_be_empty_fails_the_stream() {
    for (event_type, own) in [
        ("AppContributorAssignedEventV2", json!({ "contributorId": "a", "role": null })),
        ("AppContributorAssignedEventV2", json!({ "contributorId": "", "role": "Owner" })),
        ("AppContributorRemovedEvent", json!({})),
        ("AppClientAttachedEvent", json!({ "id": "a", "secret": "" })),
        ("AppClientUpdatedEventV2", json!({ "name": "a" })),
        ("AppClientRevokedEvent", json!({ "id": "" })),
        ("AppPlanChangedEvent", json!({ "planId": "" })),
        ("AppPlanChangedEvent", json!({ "planId": "p", "actor": null })),
        ("AppWorkflowAddedEvent", json!({ "workflowId": "w" })),
        ("AppWorkflowUpdatedEvent", json!({ "workflowId": "w" })),
        ("AppRoleAddedEvent", json!({ "name": "" })),
        ("AppRoleUpdatedEvent", json!({ "name": "r", "permissions": null })),
        ("AppRoleUpdatedEvent", json!({ "name": "r", "permissions": [""] })),
        ("AppRoleDeletedEvent", json!({})),
        ("AppLanguageAddedEvent", json!({ "language": null })),
        ("AppLanguageUpdated", json!({ "language": "de", "fallback": [null] })),
        ("AppPatternAddedEvent", json!({ "name": "p" })),
    ] {
        with(app(), event_type, own.clone()).then_fails("refused");
        // After a delete it isn't looked at.
        let deleted = with(app(), "AppDeletedEvent", json!({}));
        assert!(with(deleted, event_type, own).outcome().is_ok(), "{event_type}");
    }
    with(app(), "AppImageUploadedEvent", json!({ "image": { "etag": "e" } })).then_fails("payload");
    with(app(), "AppDeletedEvent", json!({ "permanent": null })).then_fails("payload");
    with(app(), "AppCreatedEvent", json!({ "appId": null })).then_fails("missing_field");
    let nobody = json!({ "name": "hotels", "actor": null });
    let nobody = given(Apps::new()).stream("app-app").event("AppCreatedEvent", payload(nobody));
    nobody.then_fails("missing_field");
}

#[test]
fn a_plan_has_an_owner() {
    let plan = || with(app(), "AppPlanChangedEvent", json!({ "planId": "p", "actor": "client:c" }));
    assert_eq!(member(&plan(), "plan"), r#"{"owner":"client:c","planId":"p"}"#);
    assert_unchanged(&with(plan(), "AppPlanChangedEvent", json!({ "planId": "p" })), &plan());
    assert_eq!(member(&with(plan(), "AppPlanResetEvent", json!({})), "plan"), "null");
    assert_unchanged(&with(app(), "AppPlanResetEvent", json!({})), &app());
}

#[test]
fn a_missing_etag_is_derived_from_the_event() {
    let image = |image: Value| with(app(), "AppImageUploadedEvent", json!({ "image": image }));
    let given = json!({ "mimeType": "image/png", "etag": "" });
    assert_eq!(member(&image(given), "image"), r#"{"mimeType":"image/png","etag":""}"#);
    let derived = image(json!({ "mimeType": "image/png" }));
    let etag = doc_of(&derived).get_document("image").unwrap().get_str("etag").unwrap().to_owned();
    assert_eq!(etag.len(), 32);
    let again = with(derived, "AppImageUploadedEvent", json!({ "image": { "mimeType": "image/png" } }));
    assert_ne!(doc_of(&again).get_document("image").unwrap().get_str("etag").unwrap(), etag);
    assert_eq!(member(&with(again, "AppImageRemovedEvent", json!({})), "image"), "null");
    assert_unchanged(&with(app(), "AppImageRemovedEvent", json!({})), &app());
}

#[test]
fn a_role_is_custom_and_compares_permissions_without_case() {
    assert_unchanged(&with(app(), "AppRoleAddedEvent", json!({ "name": "Owner" })), &app());
    let role = || with(app(), "AppRoleAddedEvent", json!({ "name": "r" }));
    let updated = |properties: Value| {
        let own = json!({ "name": "r", "permissions": ["A.b", "a.b"], "properties": properties });
        with(role(), "AppRoleUpdatedEvent", own)
    };
    let expected = r#"{"r":{"permissions":["A.b","a.b"],"properties":{"$x":1.0,"y":{"§z":2.0}}}}"#;
    let properties = json!({ "$x": 1, "y": { "$z": 2 } });
    assert_eq!(member(&updated(properties.clone()), "roles").replace("§x", "$x"), expected);
    let same = json!({ "name": "r", "permissions": ["a.B", "a.b"], "properties": null });
    let former = || updated(properties.clone());
    assert_unchanged(&with(former(), "AppRoleUpdatedEvent", same), &former());
    assert_eq!(member(&with(former(), "AppRoleDeletedEvent", json!({ "name": "r" })), "roles"), "{}");
    assert_unchanged(&with(app(), "AppRoleUpdatedEvent", json!({ "name": "r", "permissions": [] })), &app());
}

#[test]
fn a_changed_language_says_nothing_about_when_and_by_whom() {
    let own = json!({ "language": "DE", "isMaster": true, "actor": "subject:bob" });
    let changed = with(app(), "AppLanguageUpdated", own);
    let doc = doc_of(&changed);
    assert_eq!(doc.get_str("lastModifiedBy").unwrap(), "subject:ann");
    assert_eq!(doc.get_str("lastModified").unwrap(), "1970-01-01T00:00:01Z");
    assert_eq!(doc.get_f64("version").unwrap().to_string(), "1");
    assert_eq!(doc.get_document("languages").unwrap().get_str("master").unwrap(), "de");
    let added = with(app(), "AppLanguageAddedEvent", json!({ "language": "de" }));
    assert_eq!(doc_of(&added).get_str("lastModified").unwrap(), "1970-01-01T00:00:02Z");
    assert_unchanged(&with(app(), "AppMasterLanguageSetEvent", json!({ "language": "de" })), &app());
}

#[test]
fn unknown_events_count_in_the_stream_only() {
    assert_unchanged(&with(app(), "AppSomethingEvent", json!({})), &app());
    assert_unchanged(&with(app(), "AppUsageExceededEvent", json!({ "callsLimit": 1 })), &app());
    given(Apps::new()).stream("app-app").event("AppSomethingEvent", json!({})).then_nothing();
}

#[test]
fn a_deleted_app_is_never_changed_again() {
    let plan = with(app(), "AppPlanChangedEvent", json!({ "planId": "p" }));
    let deleted = |given: Given| with(given, "AppDeletedEvent", json!({ "permanent": true }));
    let given = deleted(plan);
    assert_eq!((member(&given, "plan"), member(&given, "isDeleted")), ("null".into(), "true".into()));
    assert!(snapshot(&given).get_bool("_dl").unwrap());
    let created = with(deleted(app()), "AppCreatedEvent", json!({ "name": "new" }));
    assert_unchanged(&created, &deleted(app()));
}
