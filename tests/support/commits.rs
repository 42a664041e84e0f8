//! Commits, as Squidex writes them.

use bson::{Document, Timestamp, doc};
use statefold::fixture::{FixtureSpec, Generator};

/// App id that the tests use.
pub(crate) const APP: &str = "3e2df825-86a9-43cb-8eb7-97d5a5bd4eea";

/// A commit after `offset` (-1 for the first one) with these events: type and JSON text.
pub(crate) fn commit(stream: &str, offset: i64, events: &[(&str, &str)]) -> Document {
    commit_at(stream, offset, "2024-05-01T10:00:00Z", events)
}

/// As [`commit`], at a time.
pub(crate) fn commit_at(stream: &str, offset: i64, at: &str, events: &[(&str, &str)]) -> Document {
    let id = bson::Uuid::new().to_string();
    let (_, key) = stream.split_once('-').unwrap();
    let event = |(event_type, payload): &(&str, &str)| {
        doc! {
            "Type": *event_type, "Payload": *payload,
            "Metadata": {
                "EventId": bson::Uuid::new().to_string(), "Timestamp": at,
                "AggregateId": key, "CommitId": &id,
            },
        }
    };
    doc! {
        "_id": &id, "Timestamp": Timestamp { time: 0, increment: 0 },
        "Events": events.iter().map(event).collect::<Vec<_>>(),
        "EventStreamOffset": offset, "EventsCount": i64::try_from(events.len()).unwrap(),
        "EventStream": stream,
    }
}

/// Name of the stream of an asset.
pub(crate) fn asset_stream(id: &str) -> String {
    format!("asset-{APP}--{id}")
}

/// Payload of `AssetCreatedEventV2`.
pub(crate) fn asset_created(id: &str) -> String {
    serde_json::json!({
        "parentId": "00000000-0000-0000-0000-000000000000", "fileName": format!("{id}.png"),
        "fileHash": format!("hash-{id}"), "mimeType": "image/png", "slug": format!("{id}-png"),
        "fileVersion": 0, "fileSize": 1024, "type": "Image",
        "metadata": { "pixelWidth": 800, "pixelHeight": 600 }, "tags": ["a", "b", "a"],
        "assetId": id, "appId": format!("{APP},my-app"), "actor": "subject:someone", "fromRule": false,
    })
    .to_string()
}

/// Payload of `AssetAnnotatedEvent` with a new name.
pub(crate) fn asset_renamed(id: &str, name: &str) -> String {
    serde_json::json!({
        "fileName": name, "slug": null, "isProtected": null, "metadata": null, "tags": null,
        "assetId": id, "appId": format!("{APP},my-app"), "actor": "client:my-app:default", "fromRule": false,
    })
    .to_string()
}

/// A good stream of two commits.
pub(crate) fn good_asset(id: &str) -> Vec<Document> {
    let stream = asset_stream(id);
    let (created, renamed) = (asset_created(id), asset_renamed(id, "renamed.png"));
    vec![
        commit(&stream, -1, &[("AssetCreatedEventV2", &created)]),
        commit_at(&stream, 0, "2024-05-02T11:12:13Z", &[("AssetAnnotatedEvent", &renamed)]),
    ]
}

/// Generated commits of all kinds of streams.
pub(crate) fn generated(commits: u64, seed: u64) -> Vec<Document> {
    let spec = FixtureSpec::new(commits, None, seed).unwrap();
    Generator::new(spec).map(|raw| Document::try_from(raw).unwrap()).collect()
}

/// The largest name of an asset's stream: a scan reads it first.
///
/// # Panics
/// If the asset is deleted, so that a rename would change nothing: then take another seed.
pub(crate) fn last_asset_stream(commits: &[Document]) -> String {
    let stream = |commit: &Document| commit.get_str("EventStream").unwrap().to_owned();
    let is_asset = |name: &String| name.starts_with("asset-") && !name.ends_with("--deleted");
    let last = commits.iter().map(stream).filter(is_asset).max().unwrap();
    let events = commits.iter().filter(|commit| stream(commit) == last);
    let events = events.flat_map(|commit| commit.get_array("Events").unwrap());
    let types = events.map(|event| event.as_document().unwrap().get_str("Type").unwrap());
    let is_deleted = types.fold(false, |is_deleted, name| match name.to_ascii_lowercase() {
        name if name.contains("created") => false,
        name if name.contains("deleted") => true,
        _ => is_deleted,
    });
    assert!(!is_deleted, "{last} is deleted");
    last
}

/// Offset that the next commit of a stream has.
pub(crate) fn next_offset(commits: &[Document], stream: &str) -> i64 {
    let of_stream = commits.iter().filter(|commit| commit.get_str("EventStream").unwrap() == stream);
    of_stream.map(|commit| commit.get_i64("EventsCount").unwrap()).sum::<i64>() - 1
}
