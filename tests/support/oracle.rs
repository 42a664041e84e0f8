//! What the snapshots have to be: a naive fold in memory, written from the facts of the format
//! (SQUIDEX 1.4, 2.2, 2.3, 3.1-3.3) and from nothing of the engine.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, doc};

use super::database::Documents;
use super::json::Json;
use super::oracle_json::{
    EMPTY_ID, actor, app, asset_type, flag, get, id, metadata, old_image, same_document, same_text, set,
    text, time, whole,
};

/// All documents of `States_Assets`.
pub(crate) fn assets(commits: &[Document]) -> Documents {
    fold_all(commits, "asset-", asset, asset_document)
}

/// All documents of `States_AssetFolders`.
pub(crate) fn asset_folders(commits: &[Document]) -> Documents {
    fold_all(commits, "assetFolder-", folder, folder_document)
}

/// State of an asset or folder.
#[derive(Clone, Default)]
struct State {
    version: Option<i64>,
    id: Option<String>,
    app: Option<Document>,
    created: Option<DateTime>,
    created_by: Option<String>,
    modified: Option<DateTime>,
    modified_by: Option<String>,
    deleted: bool,
    parent: Option<String>,
    name: Option<String>,
    hash: Option<String>,
    size: i64,
    file_version: i64,
    protected: bool,
    metadata: Document,
    mime_type: Option<String>,
    slug: Option<String>,
    tags: Vec<String>,
    total_size: i64,
    asset_type: i32,
}

/// What a fold makes of an event.
enum Effect {
    /// Its type is unknown or it changes nothing.
    None,
    /// A change.
    Change(Box<State>),
    /// The beginning of a new object.
    Create(Box<State>),
}

type Fold = fn(&State, &str, &Json) -> Option<Effect>;

fn fold_all(
    commits: &[Document],
    prefix: &str,
    fold: Fold,
    document: fn(&str, &State) -> Option<Document>,
) -> Documents {
    let mut streams: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    for commit in commits {
        let stream = commit.get_str("EventStream").unwrap();
        if stream.starts_with(prefix) && !stream.ends_with("--deleted") {
            streams.entry(stream).or_default().push(commit);
        }
    }
    let mut documents = Documents::new();
    for (stream, mut commits) in streams {
        commits.sort_by_key(|commit| commit.get_i64("EventStreamOffset").unwrap());
        let key = stream.strip_prefix(prefix).unwrap();
        let state = fold_stream(&commits, fold, prefix == "asset-");
        if let Some(document) = state.and_then(|state| document(key, &state)) {
            documents.insert(key.to_owned(), document);
        }
    }
    documents
}

/// `None` for a stream that can't be folded.
fn fold_stream(commits: &[&Document], fold: Fold, recreates: bool) -> Option<State> {
    let mut state = State::default();
    let mut number = 0;
    for commit in commits {
        if commit.get_i64("EventStreamOffset").unwrap() + 1 != number {
            return None;
        }
        for event in commit.get_array("Events").unwrap() {
            number += 1;
            let event = event.as_document().unwrap();
            let event_type = event.get_str("Type").unwrap().to_ascii_lowercase();
            if !TYPES.contains(&event_type.as_str()) {
                continue;
            }
            let payload: Json = serde_json::from_str(event.get_str("Payload").unwrap()).ok()?;
            let version = state.version;
            let mut next = match fold(&state, &event_type, &payload)? {
                Effect::Change(next) if !state.deleted => next,
                Effect::Create(next) if !state.deleted || recreates => next,
                _ => continue,
            };
            next.version = Some(version.map_or(0, |version| version + 1));
            next.created = next.created.or(Some(time(event)));
            next.created_by = next.created_by.or_else(|| actor(&payload));
            next.modified = Some(time(event));
            next.modified_by = actor(&payload);
            state = *next;
        }
    }
    Some(state)
}

const TYPES: [&str; 13] = [
    "assetcreatedevent",
    "assetcreatedeventv2",
    "assetupdated",
    "assetupdatedeventv2",
    "assetrenamedevent",
    "assettaggedevent",
    "assetannotatedevent",
    "assetmovedevent",
    "assetdeletedevent",
    "assetfoldercreatedevent",
    "assetfolderrenamedevent",
    "assetfoldermovedevent",
    "assetfolderdeletedevent",
];

fn changed(next: State) -> Option<Effect> {
    Some(Effect::Change(Box::new(next)))
}

fn asset(state: &State, event_type: &str, payload: &Json) -> Option<Effect> {
    let (asset_type, metadata_now) = match event_type {
        "assetcreatedevent" | "assetupdated" => old_image(payload),
        _ => (asset_type_of(event_type, payload), metadata(payload).unwrap_or_default()),
    };
    let mut next = state.clone();
    match event_type {
        "assetcreatedevent" | "assetcreatedeventv2" => Some(Effect::Create(Box::new(State {
            id: Some(id(payload, "assetId")),
            app: app(payload),
            parent: Some(id(payload, "parentId")),
            name: text(payload, "fileName"),
            hash: text(payload, "fileHash"),
            mime_type: text(payload, "mimeType"),
            slug: text(payload, "slug"),
            file_version: whole(payload, "fileVersion"),
            size: whole(payload, "fileSize"),
            total_size: whole(payload, "fileSize"),
            tags: set(payload, "tags").unwrap_or_default(),
            asset_type,
            metadata: metadata_now,
            ..State::default()
        }))),
        "assetupdated" | "assetupdatedeventv2" => {
            if text(payload, "fileHash") == state.hash {
                return Some(Effect::None);
            }
            next.app = app(payload);
            next.mime_type = text(payload, "mimeType");
            next.hash = text(payload, "fileHash");
            next.total_size = state.size + whole(payload, "fileSize");
            next.size = whole(payload, "fileSize");
            next.file_version = whole(payload, "fileVersion");
            next.asset_type = asset_type;
            next.metadata = metadata_now;
            changed(next)
        }
        "assetannotatedevent" => Some(annotated(
            state,
            text(payload, "fileName"),
            text(payload, "slug"),
            flag(payload, "isProtected"),
            set(payload, "tags"),
            metadata(payload),
        )),
        "assetrenamedevent" => Some(annotated(state, text(payload, "fileName"), None, None, None, None)),
        "assettaggedevent" => Some(annotated(state, None, None, None, set(payload, "tags"), None)),
        "assetmovedevent" => moved(state, payload),
        "assetdeletedevent" => {
            next.deleted = true;
            changed(next)
        }
        _ => Some(Effect::None),
    }
}

fn asset_type_of(event_type: &str, payload: &Json) -> i32 {
    let typed = matches!(event_type, "assetcreatedeventv2" | "assetupdatedeventv2");
    if typed { asset_type(payload) } else { 0 }
}

fn annotated(
    state: &State,
    name: Option<String>,
    slug: Option<String>,
    protected: Option<bool>,
    tags: Option<Vec<String>>,
    metadata: Option<Document>,
) -> Effect {
    let mut next = state.clone();
    let mut changes = false;
    if name.is_some() && !same_text(name.as_deref(), state.name.as_deref()) {
        (next.name, changes) = (name, true);
    }
    if slug.is_some() && !same_text(slug.as_deref(), state.slug.as_deref()) {
        (next.slug, changes) = (slug, true);
    }
    if let Some(protected) = protected.filter(|protected| *protected != state.protected) {
        (next.protected, changes) = (protected, true);
    }
    let same_set = |tags: &Vec<String>| {
        tags.len() == state.tags.len() && tags.iter().all(|tag| state.tags.contains(tag))
    };
    if let Some(tags) = tags.filter(|tags| !same_set(tags)) {
        (next.tags, changes) = (tags, true);
    }
    if let Some(metadata) = metadata.filter(|metadata| !same_document(metadata, &state.metadata)) {
        (next.metadata, changes) = (metadata, true);
    }
    if changes { Effect::Change(Box::new(next)) } else { Effect::None }
}

fn moved(state: &State, payload: &Json) -> Option<Effect> {
    let parent = id(payload, "parentId");
    if parent == state.parent.as_deref().unwrap_or(EMPTY_ID) {
        return Some(Effect::None);
    }
    changed(State { parent: Some(parent), ..state.clone() })
}

fn folder(state: &State, event_type: &str, payload: &Json) -> Option<Effect> {
    let name = text(payload, "folderName");
    match event_type {
        "assetfoldercreatedevent" => Some(Effect::Create(Box::new(State {
            id: Some(id(payload, "assetFolderId")),
            app: app(payload),
            parent: Some(id(payload, "parentId")),
            name,
            ..State::default()
        }))),
        "assetfolderrenamedevent" if state.deleted || name == state.name => Some(Effect::None),
        // A folder without a name is an error.
        "assetfolderrenamedevent" => {
            get(payload, "folderName")?;
            changed(State { name, ..state.clone() })
        }
        "assetfoldermovedevent" => moved(state, payload),
        "assetfolderdeletedevent" => changed(State { deleted: true, ..state.clone() }),
        _ => Some(Effect::None),
    }
}

/// The elements that all entities begin with; `None` if there is nothing to write, or no app.
fn entity(key: &str, state: &State) -> Option<Document> {
    let or_null = |text: &Option<String>| text.clone().map_or(Bson::Null, Bson::String);
    let mut document = doc! {
        "_id": key,
        "id": state.id.clone().unwrap_or_else(|| EMPTY_ID.into()),
        "mt": state.modified?,
        "mb": or_null(&state.modified_by),
        "ct": state.created?,
        "cb": or_null(&state.created_by),
        "vs": state.version?,
        "ai": state.app.clone()?,
        "dl": state.deleted,
    };
    if let Some(parent) = state.parent.as_deref().filter(|parent| *parent != EMPTY_ID) {
        document.insert("pi", parent);
    }
    document.insert("fn", or_null(&state.name));
    Some(document)
}

fn app_id(state: &State) -> Option<&str> {
    state.app.as_ref()?.get_str("_id").ok()
}

fn asset_document(key: &str, state: &State) -> Option<Document> {
    let or_null = |text: &Option<String>| text.clone().map_or(Bson::Null, Bson::String);
    let mut document = entity(key, state)?;
    document.insert("fh", or_null(&state.hash));
    document.insert("fs", state.size);
    document.insert("fv", state.file_version);
    if state.protected {
        document.insert("pt", true);
    }
    document.insert("md", state.metadata.clone());
    document.insert("mm", or_null(&state.mime_type));
    document.insert("sl", or_null(&state.slug));
    document.insert("td", state.tags.clone());
    document.insert("ts", state.total_size);
    document.insert("at", state.asset_type);
    document.insert("_ai", app_id(state)?);
    Some(document)
}

fn folder_document(key: &str, state: &State) -> Option<Document> {
    let mut document = entity(key, state)?;
    document.insert("_ai", app_id(state)?);
    Some(document)
}
