//! Events of Squidex, as its own writer would write them.

use bson::{Document, doc};
use serde_json::{Value, json};
use statefold_projections::squidex::Assets;
use statefold_projections::testing::{Given, given};

pub(crate) const STREAM: &str = "asset-app--one";
pub(crate) const FOLDER_STREAM: &str = "assetFolder-app--one";
pub(crate) const ROOT: &str = "00000000-0000-0000-0000-000000000000";

/// The payload with what every event of an app has.
pub(crate) fn payload(own: Value) -> Value {
    let mut all = json!({ "appId": "app,hotels", "actor": "subject:ann", "fromRule": false });
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

/// The payload of a usual `AssetCreatedEventV2`, with these properties changed.
pub(crate) fn created(changed: Value) -> Value {
    let mut all = payload(json!({
        "parentId": ROOT, "fileName": "a.png", "fileHash": "h1", "mimeType": "image/png", "slug": "a.png",
        "fileVersion": 0, "fileSize": 100, "type": "Image", "metadata": { "pixelWidth": 8 }, "tags": ["t"],
        "assetId": "one",
    }));
    if let (Value::Object(all), Value::Object(changed)) = (&mut all, changed) {
        all.extend(changed);
    }
    all
}

/// The payload of an `AssetUpdatedEventV2` that brings a new file.
pub(crate) fn updated(hash: &str, size_bytes: i64) -> Value {
    payload(json!({
        "mimeType": "text/plain", "fileHash": hash, "fileSize": size_bytes, "fileVersion": 1,
        "type": "Unknown",
        "metadata": {}, "assetId": "one",
    }))
}

/// Headers of an event in this second after the epoch, the epoch itself being "not set".
pub(crate) fn at(second: u32) -> Document {
    doc! { "EventId": "e", "Timestamp": format!("1970-01-01T00:00:{second:02}Z"), "AggregateId": "app--one" }
}

/// The snapshot, in the order of its elements.
pub(crate) fn snapshot(given: &Given) -> Document {
    let outcome = given.outcome().unwrap_or_else(|failure| panic!("the stream doesn't fold: {failure}"));
    outcome.into_values().next().unwrap_or_else(|| panic!("the stream has no snapshot"))
}

/// `Doc` of the snapshot.
pub(crate) fn doc_of(given: &Given) -> Document {
    snapshot(given).get_document("Doc").unwrap().clone()
}

/// A stream without events.
pub(crate) fn asset() -> Given {
    given(Assets::new()).stream(STREAM)
}

/// A stream with a usual asset.
pub(crate) fn created_asset() -> Given {
    asset().headers(at(1)).event("AssetCreatedEventV2", created(json!({})))
}

/// That the last event changed nothing at all.
pub(crate) fn assert_unchanged(given: &Given) {
    assert_eq!(snapshot(given).to_string(), snapshot(&created_asset()).to_string());
}
