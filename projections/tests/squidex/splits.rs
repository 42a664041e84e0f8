//! Any sequence of events of apps and teams gives the same bytes, however it is split into commits.

use bson::{RawDocumentBuf, doc};
use proptest::prelude::*;
use serde_json::{Value, json};
use statefold_projections::squidex::{Apps, Teams};
use statefold_projections::testing::fold_stream;
use statefold_projections::{FoldFailure, Layout, NoLookup, Registered};

/// Events with few different values, so that they meet each other.
fn event() -> impl Strategy<Value = (String, Value)> {
    const TYPES: [&str; 38] = [
        "CreatedEvent",
        "UpdatedEvent",
        "DeletedEvent",
        "Deleted",
        "TransferedEvent",
        "SettingsUpdatedEvent",
        "AssetsScriptsConfiguredEvent",
        "PlanChangedEvent",
        "PlanChanged",
        "PlanResetEvent",
        "ImageUploadedEvent",
        "ImageRemovedEvent",
        "ContributorAssignedEventV2",
        "ContributorAssignedEvent",
        "ContributorRemovedEvent",
        "ClientAttachedEvent",
        "ClientUpdatedEventV2",
        "ClientUpdatedEvent",
        "ClientRenamedEvent",
        "ClientRevokedEvent",
        "WorkflowAddedEvent",
        "WorkflowUpdatedEvent",
        "WorkflowConfiguredEvent",
        "WorkflowDeletedEvent",
        "RoleAddedEvent",
        "RoleUpdatedEvent",
        "RoleDeletedEvent",
        "LanguageAddedEvent",
        "LanguageRemovedEvent",
        "LanguageUpdated",
        "LanguageUpdated",
        "MasterLanguageSetEvent",
        "PatternAddedEvent",
        "PatternUpdatedEvent",
        "PatternDeletedEvent",
        "AuthChanged",
        "ArchivedEvent",
        "UnknownEvent",
    ];
    let id = prop::sample::select(vec!["a", "b", "a.b"]);
    let language = prop::sample::select(vec!["en", "de", "FR", "pt-BR"]);
    let odd = prop::option::weighted(0.02, prop::sample::select(vec![json!(null), json!(1), json!("")]));
    (prop::sample::select(TYPES.to_vec()), id, language, any::<(bool, bool)>(), odd).prop_map(
        |(event_type, id, language, (is_first, is_second), odd)| {
            let name = odd.unwrap_or_else(|| json!(id));
            let optional = is_first.then_some(id);
            let transitions = json!({ "x": { "role": optional }, "y": { "expression": optional } });
            let payload = json!({
                "appId": "app,hotels", "teamId": optional, "actor": "subject:x", "id": id, "name": name,
                "label": optional, "secret": "s", "role": id, "planId": id, "contributorId": id,
                "apiCallsLimit": 1, "allowAnonymous": is_second, "language": language,
                "isOptional": is_first, "isMaster": is_second, "fallback": ["en", language, "de"],
                "image": { "mimeType": "m", "etag": optional }, "pattern": id, "message": optional,
                "settings": { "patterns": [{ "name": id, "regex": id }], "hideScheduler": is_first },
                "scripts": { "create": optional }, "scheme": { "domain": optional }, "workflowId": id,
                "workflow": { "name": id, "steps": { "x": { "transitions": transitions } } },
                "permissions": [id], "properties": { id: [1, { "$x": null }] },
            });
            (event_type.to_owned(), payload)
        },
    )
}

/// The events as commits that end where `ends` says.
fn commits(prefix: &str, events: &[(String, Value)], ends: &[bool]) -> Vec<RawDocumentBuf> {
    let mut commits = Vec::new();
    let (mut open, mut offset) = (Vec::new(), -1_i64);
    for (at, (event_type, payload)) in events.iter().enumerate() {
        let headers = doc! { "Timestamp": format!("2023-05-01T10:00:{:02}.5Z", at % 60) };
        let event_type = format!("{prefix}{event_type}");
        open.push(doc! { "Type": event_type, "Payload": payload.to_string(), "Metadata": headers });
        if ends.get(at).copied().unwrap_or(true) || at + 1 == events.len() {
            let count = i64::try_from(open.len()).unwrap();
            let commit = doc! {
                "Events": std::mem::take(&mut open), "EventStreamOffset": offset, "EventsCount": count,
                "EventStream": "s",
            };
            commits.push(RawDocumentBuf::try_from(commit).unwrap());
            offset += count;
        }
    }
    commits
}

fn fold(projection: &Registered, commits: &[RawDocumentBuf]) -> Result<Vec<u8>, FoldFailure> {
    let stream = format!("{}one", projection.spec().stream_filter().first());
    let mut states = projection.states();
    let folded = fold_stream(projection, &mut *states, commits, &Layout::default(), &stream, &NoLookup)?;
    Ok(folded.targets().first().unwrap().documents().next().unwrap_or_default().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bytes_do_not_depend_on_commits(
        mut events in prop::collection::vec(event(), 0..40),
        ends in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let created = json!({ "appId": "app,hotels", "name": "n", "actor": "subject:x" });
        events.insert(0, ("CreatedEvent".to_owned(), created));
        for (prefix, projection) in
            [("App", Registered::new(Apps::new())), ("Team", Registered::new(Teams::new()))]
        {
            let apart = fold(&projection, &commits(prefix, &events, &[]));
            prop_assert_eq!(&apart, &fold(&projection, &commits(prefix, &events, &[false; 41])));
            prop_assert_eq!(&apart, &fold(&projection, &commits(prefix, &events, &ends)));
            if let Ok(bytes) = apart {
                let raw = bson::RawDocument::from_bytes(&bytes).unwrap();
                prop_assert!(bson::Document::try_from(raw).is_ok());
            }
        }
    }
}

#[test]
fn the_events_made_up_here_reach_snapshots_often_enough() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let projection = Registered::new(Apps::new());
    let mut snapshots = 0;
    for _ in 0..100 {
        let mut events = prop::collection::vec(event(), 0..40).new_tree(&mut runner).unwrap().current();
        let created = json!({ "appId": "app,hotels", "name": "n", "actor": "subject:x" });
        events.insert(0, ("CreatedEvent".to_owned(), created));
        snapshots += u32::from(fold(&projection, &commits("App", &events, &[])).is_ok());
    }
    assert!(snapshots > 40 && snapshots < 100, "{snapshots} snapshots of 100");
}
