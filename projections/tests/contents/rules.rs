//! The rules of contents, one test a rule.

use bson::{Bson, doc};
use serde_json::{Value, json};
use statefold_projections::testing::Given;

use crate::support::{ALL, PUBLISHED, all, at, content, created, data, names, payload, published, with_data};

fn ms(ms: i64) -> bson::DateTime {
    bson::DateTime::from_millis(ms)
}

fn one(number: u32) -> Value {
    json!({ "t": { "iv": number } })
}

fn draft(given: Given, own: Value) -> Given {
    given.event("ContentDraftCreatedEvent", payload(own))
}

fn status(given: Given, status: &str) -> Given {
    given.event("ContentStatusChangedEventV2", payload(json!({ "change": "Change", "status": status })))
}

fn updated(given: Given, number: u32) -> Given {
    given.event("ContentUpdatedEvent", payload(json!({ "data": one(number) })))
}

/// Status of the draft, current status, editing data, current data beside a draft.
fn versions(given: &Given) -> (Option<String>, String, String, Option<String>) {
    let document = all(given);
    let text = |name| document.get_str(name).ok().map(str::to_owned);
    let current = document.get("dd").map(ToString::to_string);
    (text("ns"), text("ss").unwrap(), data(&document), current)
}

#[test]
fn a_created_content_has_every_element_in_order() {
    let common = doc! {
        "_id": "app--one", "id": "one", "mt": ms(1000), "mb": "subject:ann", "ct": ms(1000),
        "cb": "subject:ann", "vs": 0_i64, "ai": { "_id": "app", "Name": "hotels" }, "dl": false,
        "si": { "_id": "posts", "Name": "blog" }, "do": { "n": null, "t": { "iv": 1.0 } },
        "ss": "Published", "_ai": "app", "_si": "posts", "rf": [],
    };
    let mut complete = common.clone();
    complete.insert("is", true);
    created("Published", json!({ "n": null, "t": { "iv": 1 } }))
        .then_snapshots(&[(ALL, complete), (PUBLISHED, common)]);
}

#[test]
fn a_content_with_everything_has_every_element_in_order() {
    let own = json!({ "status": "Draft", "dueTime": "2023-05-01T10:00:00.1239Z", "actor": "client:c" });
    let given = draft(created("Published", one(1)), json!({ "status": "Draft", "migratedData": one(2) }))
        .headers(at(9))
        .event("ContentStatusScheduledEvent", payload(own));
    let document = all(&given);
    assert_eq!(names(&document), "_id id mt mb ct cb vs ai dl si do ns ss sj _ai _si rf sa dd is",);
    let job = doc! {
        "_id": "event-9", "Status": "Draft", "ScheduledBy": "client:c", "DueTime": ms(1_682_935_200_123),
    };
    assert_eq!(document.get_document("sj").unwrap().to_string(), job.to_string());
    assert_eq!(document.get_datetime("sa").ok(), Some(&ms(1_682_935_200_123)));
    assert_eq!(names(&published(&given).unwrap()), "_id id mt mb ct cb vs ai dl si do ss _ai _si rf",);
}

#[test]
fn a_draft_without_data_begins_with_the_current_ones() {
    let given = draft(created("Published", one(1)), json!({ "status": "Draft", "migratedData": null }));
    let (data, current) = (r#"{ "t": { "iv": 1 } }"#, Some(r#"{ "t": { "iv": 1 } }"#.to_owned()));
    assert_eq!(versions(&given), (Some("Draft".into()), "Published".into(), data.into(), current.clone()));
    let given = updated(given, 2);
    let data = r#"{ "t": { "iv": 2 } }"#;
    assert_eq!(versions(&given), (Some("Draft".into()), "Published".into(), data.into(), current));
    assert_eq!(crate::support::data(&published(&given).unwrap()), r#"{ "t": { "iv": 1 } }"#);
    let given = status(given, "Review");
    assert_eq!(versions(&given).0, Some("Review".into()));
    let given = status(given, "Published");
    assert_eq!(versions(&given), (None, "Published".into(), data.into(), None));
    assert_eq!(crate::support::data(&published(&given).unwrap()), data);
}

#[test]
fn a_draft_ends_without_a_trace() {
    let given = draft(created("Published", one(1)), json!({ "status": "Draft", "migratedData": one(2) }));
    for end in ["ContentDraftDeletedEvent", "ContentChangesDiscardedEvent"] {
        let given = draft(created("Published", one(1)), json!({ "migratedData": one(2) }));
        let given = given.event(end, payload(json!({})));
        assert_eq!(versions(&given), (None, "Published".into(), r#"{ "t": { "iv": 1 } }"#.into(), None));
        assert_eq!(all(&given).get_i64("vs").ok(), Some(2));
    }
    // Another draft replaces the first one.
    let given = draft(given, json!({ "status": "Review" }));
    assert_eq!(versions(&given).0, Some("Review".into()));
    assert_eq!(versions(&given).2, r#"{ "t": { "iv": 1 } }"#);
}

#[test]
fn only_the_status_published_has_a_published_document() {
    for (name, is_published) in
        [("Published", true), ("published", false), ("Draft", false), ("Archived", false), ("", false)]
    {
        let given = created(name, one(1));
        assert_eq!(published(&given).is_some(), is_published, "{name}");
        assert_eq!(all(&given).get_str("ss").ok(), Some(name));
    }
    let given = status(created("Published", one(1)), "Archived");
    assert_eq!(published(&given), None);
    assert!(published(&status(given, "Published")).is_some());
}

#[test]
fn a_status_that_is_missing_is_unknown_and_in_former_events_a_draft() {
    let data = json!({ "data": one(1) });
    let status_of = |given: &Given| all(given).get_str("ss").unwrap().to_owned();
    let given = content().event("ContentCreatedEventV2", payload(data.clone()));
    assert_eq!(status_of(&given), "Unknown");
    let given = draft(given, json!({}));
    assert_eq!(versions(&given).0, Some("Unknown".into()));
    let given = content().event("ContentCreatedEvent", payload(data));
    assert_eq!(status_of(&given), "Draft");
    let given =
        status(given, "Published").event("ContentStatusChangedEvent", payload(json!({ "change": "?" })));
    assert_eq!(status_of(&given), "Draft");
    // The name of a status that isn't set means the same, for Squidex compares names.
    for former in ["ContentCreatedEvent", "ContentStatusChangedEvent"] {
        let unset = json!({ "status": "Unknown", "data": one(1) });
        assert_eq!(
            status_of(&created("Published", one(1)).event(former, payload(unset))),
            "Draft",
            "{former}"
        );
    }
    let unset =
        created("Draft", one(1)).event("ContentStatusChangedEventV2", payload(json!({ "change": 7 })));
    assert_eq!(status_of(&unset), "Unknown");
    let null = json!({ "status": null, "data": one(1) });
    content().event("ContentCreatedEventV2", payload(null)).then_fails("payload");
}

#[test]
fn a_schedule_ends_with_the_next_change_of_status_or_draft() {
    let scheduled = || {
        let own = json!({ "status": "Archived", "dueTime": "2023-05-01T10:00:00Z", "actor": null });
        created("Published", one(1)).event("ContentStatusScheduledEvent", payload(own))
    };
    assert!(all(&scheduled()).contains_key("sj"));
    let job = all(&scheduled());
    assert_eq!(job.get_document("sj").unwrap().get("ScheduledBy"), Some(&Bson::Null));
    for (event, ends) in [
        ("ContentSchedulingCancelledEvent", true),
        ("ContentStatusChangedEventV2", true),
        ("ContentStatusChangedEvent", true),
        ("ContentDraftCreatedEvent", true),
        ("ContentDraftDeletedEvent", true),
        ("ContentUpdateProposedEvent", true),
        ("ContentChangesPublishedEvent", true),
        ("ContentDeletedEvent", false),
        ("ContentPublishedEvent", false),
    ] {
        let document = all(&scheduled().event(event, payload(json!({}))));
        assert_eq!(document.contains_key("sj"), !ends, "{event}");
        assert_eq!(document.contains_key("sa"), !ends, "{event}");
    }
    assert!(all(&updated(scheduled(), 2)).contains_key("sj"));
    // A missing time is the epoch, a missing id one of the event's place.
    let given =
        created("Draft", one(1)).headers(doc! {}).event("ContentStatusScheduledEvent", payload(json!({})));
    let expected =
        doc! { "_id": "1--app--one", "Status": "Unknown", "ScheduledBy": "subject:ann", "DueTime": ms(0) };
    assert_eq!(all(&given).get_document("sj").unwrap().to_string(), expected.to_string());
    for time in [json!("2023-05-01"), json!("2023-05-01T10:00:00"), json!(null), json!(1)] {
        let given = created("Draft", one(1));
        given.event("ContentStatusScheduledEvent", payload(json!({ "dueTime": time }))).then_fails("payload");
    }
}

#[test]
fn former_events_become_their_current_form_or_nothing() {
    let proposed = created("Published", one(1))
        .event("ContentUpdateProposedEvent", payload(json!({ "data": one(2), "status": "x" })));
    let data = r#"{ "t": { "iv": 2 } }"#;
    assert_eq!(versions(&proposed).0, Some("Draft".into()));
    assert_eq!(versions(&proposed).2, data);
    let given = proposed.event("ContentChangesPublishedEvent", payload(json!({})));
    assert_eq!(versions(&given), (None, "Published".into(), data.into(), None));
    let version = all(&given).get_i64("vs").unwrap();
    for ignored in
        ["ContentArchivedEvent", "ContentPublishedEvent", "ContentRestoredEvent", "ContentUnpublishedEvent"]
    {
        let given = created("Draft", one(1)).event(ignored, payload(json!({})));
        assert_eq!(all(&given).to_string(), all(&created("Draft", one(1))).to_string(), "{ignored}");
        // They are read all the same.
        created("Draft", one(1)).event(ignored, json!({ "appId": 1 })).then_fails("payload");
    }
    assert_eq!(version, 2);
}

#[test]
fn every_event_of_a_content_counts_as_a_change() {
    let given = updated(updated(created("Draft", one(1)), 1), 1).event("Unknown", json!({}));
    let document = all(&given);
    assert_eq!((document.get_i64("vs").ok(), document.get_datetime("mt").ok()), (Some(2), Some(&ms(2000))));
}

#[test]
fn a_deleted_content_is_kept_and_can_be_created_again() {
    let deleted = created("Published", one(1)).event("ContentDeletedEvent", payload(json!({})));
    let given = status(updated(deleted, 2), "Draft");
    let document = all(&given);
    assert_eq!((document.get_bool("dl").ok(), document.get_i64("vs").ok()), (Some(true), Some(1)));
    assert_eq!(
        (document.get_str("ss").ok(), data(&document)),
        (Some("Published"), r#"{ "t": { "iv": 1 } }"#.into())
    );
    assert_eq!(published(&given), None);
    let again = given.headers(at(9)).event(
        "ContentCreatedEventV2",
        payload(json!({ "status": "Published", "data": one(3), "actor": "client:c" })),
    );
    let document = published(&again).unwrap();
    assert_eq!((document.get_bool("dl").ok(), document.get_i64("vs").ok()), (Some(false), Some(2)));
    assert_eq!(document.get_datetime("ct").ok(), Some(&ms(9000)));
    assert_eq!(
        (document.get_str("cb").ok(), data(&document)),
        (Some("client:c"), r#"{ "t": { "iv": 3 } }"#.into())
    );
}

#[test]
fn a_second_creation_replaces_everything() {
    let given = draft(created("Published", one(1)), json!({ "migratedData": one(2) }))
        .event("ContentStatusScheduledEvent", payload(json!({})))
        .event("ContentCreatedEventV2", payload(json!({ "status": "Draft", "data": one(3) })));
    assert_eq!(names(&all(&given)), "_id id mt mb ct cb vs ai dl si do ss _ai _si rf is");
    assert_eq!(all(&given).get_i64("vs").ok(), Some(3));
}

#[test]
fn what_comes_before_the_creation_fails_or_counts() {
    for event in ["ContentUpdatedEvent", "ContentStatusChangedEventV2", "ContentDraftCreatedEvent"] {
        content().event(event, payload(json!({ "data": one(1), "status": "Draft" }))).then_fails("refused");
    }
    for event in [
        "ContentDeletedEvent",
        "ContentDraftDeletedEvent",
        "ContentSchedulingCancelledEvent",
        "ContentStatusScheduledEvent",
    ] {
        let first = || content().event(event, payload(json!({})));
        first().then_fails("missing_field");
        let given = first().event("ContentCreatedEventV2", payload(json!({ "data": one(1) })));
        assert_eq!(all(&given).get_i64("vs").ok(), Some(1), "{event}");
        assert_eq!(names(&all(&given)), "_id id mt mb ct cb vs ai dl si do ss _ai _si rf is", "{event}");
    }
    content().then_nothing();
    content().event("ContentPublishedEvent", payload(json!({}))).then_nothing();
}

#[test]
fn an_app_and_a_schema_are_needed() {
    for property in ["appId", "schemaId"] {
        let own = json!({ "data": one(1), property: null });
        content().event("ContentCreatedEventV2", payload(own)).then_fails("missing_field");
    }
}

#[test]
fn data_that_are_null_are_written_until_something_needs_them() {
    let given = || content().event("ContentCreatedEventV2", payload(json!({ "status": "Published" })));
    assert_eq!(names(&all(&given())), "_id id mt mb ct cb vs ai dl si ss _ai _si rf is");
    assert_eq!(names(&published(&given()).unwrap()), "_id id mt mb ct cb vs ai dl si ss _ai _si rf");
    assert_eq!(versions(&updated(given(), 1)).2, r#"{ "t": { "iv": 1 } }"#);
    let drafted = || draft(given(), json!({ "status": "Draft" }));
    assert_eq!(versions(&drafted()), (Some("Draft".into()), "Published".into(), String::new(), None));
    status(drafted(), "Published").then_fails("refused");
    assert_eq!(versions(&status(updated(drafted(), 1), "Published")).2, r#"{ "t": { "iv": 1 } }"#);
    let null = json!({ "data": null });
    created("Draft", one(1)).event("ContentUpdatedEvent", payload(null)).then_fails("refused");
}

#[test]
fn data_are_fields_of_partitions() {
    for broken in ["[]", "1", "\"a\"", r#"{"t":1}"#, r#"{"t":[]}"#, r#"{"t":"a"}"#, r#"{"t":true}"#] {
        with_data(broken).then_fails("payload");
    }
    assert_eq!(data(&all(&with_data("{}"))), "{}");
    assert_eq!(data(&all(&with_data(r#"{"t":{}}"#))), r#"{ "t": {} }"#);
    let odd = r#"{"a.b":{"$x":{"":[{"$":1,".":2}]}},"$type":null,"":{"iv":12345678901234567890}}"#;
    let expected = doc! {
        "a_§§_b": { "§x": { "§empty": [{ "$": 1.0, "_§§_": 2.0 }] } }, "§type": null,
        "§empty": { "iv": 12_345_678_901_234_567_000_f64 },
    };
    assert_eq!(data(&all(&with_data(odd))), expected.to_string());
    with_data(r#"{"t":{"iv":{"a\u0000":1}}}"#).then_fails("element_name");
    let nested = |levels: usize| format!(r#"{{"t":{{"iv":{}{}}}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(with_data(&nested(61)).outcome().is_ok());
    with_data(&nested(62)).then_fails("payload");
}
