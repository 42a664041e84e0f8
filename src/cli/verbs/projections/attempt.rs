//! `statefold projections try`

use std::path::Path;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use serde::Serialize;
use statefold_projections::declarative::{Declared, DeclaredState, Definitions};
use statefold_projections::{Commit, NoLookup, Projection, Snapshots};

use crate::cli::args::Connection;
use crate::cli::definitions::read;
use crate::cli::exit::EXIT_FAILED_STREAMS;
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::error::{Error, Result};
use crate::operator::{changes, commits_of_stream, without_gaps};

/// What became of a stream in one projection.
#[derive(Debug, Serialize)]
struct Tried {
    projection: String,
    stream: String,
    events: Vec<TriedEvent>,
    /// Why it can't be folded.
    failed: Option<String>,
    /// Whether the stream has commits behind these, which were left out.
    goes_on: bool,
    /// The snapshots by collection, as relaxed Extended JSON.
    snapshots: Vec<(String, serde_json::Value)>,
}

/// What one event did.
#[derive(Debug, Serialize)]
struct TriedEvent {
    number: i64,
    event_type: String,
    /// Whether the file says something about its type.
    is_known: bool,
    created: bool,
    deleted: bool,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

pub(super) async fn run(
    connection: &Connection,
    file: &Path,
    stream: &str,
    limit: u32,
    output: &Output,
) -> Result<u8> {
    let definitions = read(&[file.to_owned()])?;
    let of_stream: Vec<&Declared> = definitions
        .projections()
        .filter(|declared| declared.spec().stream_filter().matches(stream))
        .collect();
    if of_stream.is_empty() {
        let prefixes: Vec<String> =
            definitions.projections().map(|one| format!("{}…", one.spec().stream_filter().first())).collect();
        return Err(Error::Config(vec![format!(
            "{stream} is no stream of a projection in {}: their names begin with {}",
            file.display(),
            prefixes.join(", ")
        )]));
    }
    let settings = load(connection, &Raw::default())?.settings;
    let one_more = if limit == 0 { 0 } else { i64::from(limit) + 1 };
    let mut commits = commits_of_stream(&settings, &definitions.registry()?, stream, one_more).await?;
    let most = if limit == 0 { usize::MAX } else { limit as usize };
    let goes_on = commits.len() > most;
    commits.truncate(most);
    if commits.is_empty() {
        return Err(Error::Config(vec![format!("{} has no stream {stream}", settings.database())]));
    }
    let tried: Vec<Tried> =
        of_stream.iter().map(|declared| attempt(declared, &definitions, stream, &commits, goes_on)).collect();
    output.result(&tried, |tried| tried.iter().map(text).collect::<Vec<_>>().join("\n\n"));
    Ok(if tried.iter().any(|one| one.failed.is_some()) { EXIT_FAILED_STREAMS } else { 0 })
}

fn attempt(
    declared: &Declared,
    definitions: &Definitions,
    stream: &str,
    commits: &[RawDocumentBuf],
    goes_on: bool,
) -> Tried {
    let mut tried = Tried {
        projection: declared.spec().name().to_owned(),
        stream: stream.to_owned(),
        events: Vec::new(),
        failed: None,
        goes_on,
        snapshots: Vec::new(),
    };
    if let Err(gap) = without_gaps(commits, definitions.layout()) {
        tried.failed = Some(gap);
        return tried;
    }
    let mut state = DeclaredState::default();
    for commit in commits {
        let commit = match Commit::decode(commit, definitions.layout()) {
            Ok(commit) => commit,
            Err(error) => {
                tried.failed = Some(error.to_string());
                return tried;
            }
        };
        for event in commit.events() {
            let applied = event.map_err(|failure| failure.to_string()).and_then(|event| {
                let before = state.document();
                let result = declared.apply(&mut state, &event);
                result.map_err(|error| format!("event {} ({}): {error}", event.number, event.event_type))?;
                let is_known = declared.mentions(event.event_type);
                let after = state.document();
                Ok(described(event.number, event.event_type, is_known, before.as_ref(), after.as_ref()))
            });
            match applied {
                Ok(event) => tried.events.push(event),
                Err(reason) => {
                    tried.failed = Some(reason);
                    return tried;
                }
            }
        }
    }
    let Some(key) = declared.spec().stream_filter().key(stream) else { return tried };
    let mut snapshots = Snapshots::new(declared.spec().targets().len());
    let emitted = snapshots.of_stream(key.id(), |sink| declared.snapshots(&key, &state, &NoLookup, sink));
    tried.failed = emitted.err().map(|error| error.to_string());
    for (target, buffer) in declared.spec().targets().iter().zip(snapshots.targets()) {
        let documents = buffer
            .documents()
            .filter_map(|bytes| Document::try_from(RawDocument::from_bytes(bytes).ok()?).ok());
        let json = documents.map(|document| Bson::Document(document).into_relaxed_extjson());
        tried.snapshots.extend(json.map(|json| (target.collection().to_owned(), json)));
    }
    tried
}

fn described(
    number: i64,
    event_type: &str,
    is_known: bool,
    before: Option<&Document>,
    after: Option<&Document>,
) -> TriedEvent {
    let none = Document::new();
    let changes = changes(before.unwrap_or(&none), after.unwrap_or(&none));
    TriedEvent {
        number,
        event_type: event_type.to_owned(),
        is_known,
        created: before.is_none() && after.is_some(),
        deleted: before.is_some() && after.is_none(),
        changes: changes
            .into_iter()
            .map(|change| Change { path: change.path, before: change.expected, after: change.found })
            .collect(),
    }
}

fn text(tried: &Tried) -> String {
    let mut lines = vec![format!("{} of {}", tried.stream, tried.projection)];
    for event in &tried.events {
        let note = match event {
            TriedEvent { created: true, .. } => "  creates",
            TriedEvent { deleted: true, .. } => "  deletes",
            TriedEvent { is_known: false, .. } => "  isn't in the file",
            TriedEvent { changes, .. } if changes.is_empty() => "  changes nothing",
            _ => "",
        };
        lines.push(format!("{:>5}  {}{note}", event.number, event.event_type));
        for change in event.changes.iter().filter(|_| !event.deleted) {
            lines.push(match (&change.before, &change.after) {
                (None, Some(after)) => format!("       + {} = {after}", change.path),
                (Some(before), Some(after)) => format!("       ~ {} = {after}, was {before}", change.path),
                (Some(before), None) => format!("       - {} = {before}", change.path),
                (None, None) => change.path.clone(),
            });
        }
    }
    if let Some(reason) = &tried.failed {
        lines.push(format!("It can't be folded: {reason}"));
    }
    if tried.goes_on {
        lines.push("The stream goes on; --limit says how many commits are read.".to_owned());
    }
    for (collection, snapshot) in &tried.snapshots {
        let json = serde_json::to_string_pretty(snapshot).unwrap_or_default();
        lines.push(format!("Snapshot in {collection}:\n{json}"));
    }
    if tried.snapshots.is_empty() && tried.failed.is_none() {
        lines.push("There is no snapshot.".to_owned());
    }
    lines.join("\n")
}
