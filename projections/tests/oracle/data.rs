//! Where the data of Squidex are, and how they are read and folded.
//!
//! They are beside the repository, not in it: without them the tests print a word and pass.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use bson::RawDocumentBuf;
use flate2::read::GzDecoder;
use statefold_projections::squidex::ValueRepresentation;
use statefold_projections::testing::fold_stream;
use statefold_projections::{FoldFailure, Layout, NoLookup, Projection, Registered, Snapshots, Spec};

/// All sets, by their names.
pub(crate) const SETS: [&str; 5] = ["plain", "sharded", "dedicated", "asstring", "asbinary"];

/// The directory of the data, if it is there.
pub(crate) fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/squidex");
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: there are no data of Squidex in {}", directory.display());
    None
}

/// The documents of a collection, in the order of the file.
pub(crate) fn collection(directory: &std::path::Path, set: &str, name: &str) -> Vec<RawDocumentBuf> {
    let path = directory.join(set).join(format!("{set}.{name}.bson.gz"));
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut documents = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(length) = rest.first_chunk() {
        let length = usize::try_from(i32::from_le_bytes(*length)).unwrap();
        let (document, behind) = rest.split_at(length);
        documents.push(RawDocumentBuf::from_bytes(document.to_vec()).unwrap());
        rest = behind;
    }
    documents
}

/// Commits by stream, each stream in the order of its offsets.
pub(crate) fn streams(commits: Vec<RawDocumentBuf>) -> BTreeMap<String, Vec<RawDocumentBuf>> {
    let mut streams: BTreeMap<String, Vec<RawDocumentBuf>> = BTreeMap::new();
    for commit in commits {
        let stream = commit.get_str("EventStream").unwrap().to_owned();
        streams.entry(stream).or_default().push(commit);
    }
    for commits in streams.values_mut() {
        commits.sort_by_key(|commit| commit.get_i64("EventStreamOffset").unwrap());
    }
    streams
}

/// The commit with one event only, of each of its events.
pub(crate) fn split(commits: &[RawDocumentBuf]) -> Vec<RawDocumentBuf> {
    let of_commit = |commit: &RawDocumentBuf| {
        let commit = bson::Document::try_from(commit.as_ref()).unwrap();
        let offset = commit.get_i64("EventStreamOffset").unwrap();
        let events = commit.get_array("Events").unwrap().clone();
        events.into_iter().zip(0_i64..).map(move |(event, at)| {
            let mut one = commit.clone();
            one.insert("Events", vec![event]);
            one.insert("EventsCount", 1_i64);
            one.insert("EventStreamOffset", offset + at);
            RawDocumentBuf::try_from(&one).unwrap()
        })
    };
    commits.iter().flat_map(of_commit).collect()
}

/// Folds a stream, of which the projection must make the same with its commits as they are and with one
/// commit for each event.
pub(crate) fn fold(
    projection: &Registered,
    stream: &str,
    commits: &[RawDocumentBuf],
) -> Result<Snapshots, FoldFailure> {
    let layout = Layout::default();
    let mut states = projection.states();
    let whole = fold_stream(projection, &mut *states, commits, &layout, stream, &NoLookup);
    let apart = fold_stream(projection, &mut *states, &split(commits), &layout, stream, &NoLookup);
    let bytes = |snapshots: &Snapshots| -> Vec<Vec<u8>> {
        snapshots.targets().iter().flat_map(|buffer| buffer.documents().map(<[u8]>::to_vec)).collect()
    };
    assert_eq!(whole.as_ref().map(bytes).ok(), apart.as_ref().map(bytes).ok(), "{stream}");
    whole
}

/// Asserts that a projection with one target makes exactly the documents of a collection from the event
/// store of a set, and returns their number.
pub(crate) fn assert_equal<P: Projection>(
    directory: &std::path::Path,
    set: &str,
    projection: P,
    name: &str,
) -> usize {
    let projection = Registered::new(projection);
    let expected = collection(directory, set, name);
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (stream, commits) in streams(collection(directory, set, "Events2")) {
        let Some(key) = projection.spec().stream_filter().key(&stream) else { continue };
        let id = key.id().to_owned();
        let snapshots = fold(&projection, &stream, &commits)
            .unwrap_or_else(|failure| panic!("{set}: {stream} doesn't fold: {failure}"));
        for bytes in snapshots.targets().iter().flat_map(|buffer| buffer.documents()) {
            found.insert(id.clone(), bytes.to_vec());
        }
    }
    for document in &expected {
        let id = document.get_str("_id").unwrap();
        let bytes = found.remove(id).unwrap_or_else(|| panic!("{set}: {name} lacks {id}"));
        if bytes != document.as_bytes() {
            let text = |document: RawDocumentBuf| bson::Document::try_from(document).unwrap().to_string();
            let ours = text(RawDocumentBuf::from_bytes(bytes).unwrap());
            panic!("{set}: {name} {id}\nSquidex   {}\nstatefold {ours}", text(document.clone()));
        }
    }
    assert!(found.is_empty(), "{set}: {name} has more: {:?}", found.keys());
    assert!(!expected.is_empty(), "{set}: {name} is empty");
    expected.len()
}

/// How a set stores the values of apps, teams, schemas and rules.
pub(crate) fn values(set: &str) -> ValueRepresentation {
    match set {
        "asstring" => ValueRepresentation::Text,
        "asbinary" => ValueRepresentation::Binary,
        _ => ValueRepresentation::Document,
    }
}

/// Asserts that Squidex made the indexes of a spec in a set: the name of one has its fields and their
/// directions.
pub(crate) fn assert_indexes(directory: &std::path::Path, set: &str, spec: &Spec) {
    let text = std::fs::read_to_string(directory.join(set).join("indexes.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let target = spec.targets().first().unwrap();
    let recorded = all.get(format!("{set}.{}", target.collection())).unwrap().as_array().unwrap();
    let recorded: Vec<&str> =
        recorded.iter().map(|index| index.get("name").unwrap().as_str().unwrap()).collect();
    let declared = target.indexes().iter().map(|index| index.name());
    assert_eq!(recorded, ["_id_".to_owned()].into_iter().chain(declared).collect::<Vec<_>>(), "{set}");
}
