//! The shipped definition files on whole fixtures.

use std::collections::BTreeMap;

use bson::RawDocumentBuf;
use statefold::fixture::{FixtureSpec, Generator};
use statefold::projections::declarative::{Definitions, Format};
use statefold::projections::{Commit, Layout, NoLookup, Registered, Registry, Snapshots};

fn shipped(file: &str) -> Registry {
    let path = format!("{}/examples/projections/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    Definitions::parse(file, &text, Format::Toml).unwrap().registry().unwrap()
}

/// The snapshots of a stream, or `None` if it can't be folded.
fn folded(projection: &Registered, layout: &Layout, commits: &[RawDocumentBuf]) -> Option<Vec<Vec<u8>>> {
    let mut states = projection.states();
    let (slot, mut stream) = (states.open(), String::new());
    for commit in commits {
        let commit = Commit::decode(commit, layout).unwrap();
        commit.stream.clone_into(&mut stream);
        states.apply(slot, &commit).ok()?;
    }
    let key = projection.spec().stream_filter().key(&stream)?;
    let mut snapshots = Snapshots::new(1);
    states.emit(slot, &key, &NoLookup, &mut snapshots).ok()?;
    Some(snapshots.targets()[0].documents().map(<[u8]>::to_vec).collect())
}

/// How many commits; a million take a minute.
fn commits() -> u64 {
    std::env::var("STATEFOLD_COMMITS").map_or(20_000, |text| text.parse().unwrap())
}

#[test]
fn asset_folders_as_data_are_those_in_rust_byte_for_byte() {
    let spec = FixtureSpec::new(commits(), None, 3).unwrap().with_kinds("folders".parse().unwrap());
    let (as_data, in_rust) = (shipped("assetfolders.toml"), statefold::squidex::registry());
    let mut streams: BTreeMap<String, Vec<RawDocumentBuf>> = BTreeMap::new();
    for commit in Generator::new(spec) {
        let stream = Commit::decode(&commit, in_rust.layout()).unwrap().stream.to_owned();
        streams.entry(stream).or_default().push(commit);
    }
    let (as_data, rust) = (as_data.get("AssetFolders").unwrap(), in_rust.get("AssetFolders").unwrap());
    let mut snapshots = 0;
    for (stream, commits) in &streams {
        let (ours, theirs) = [as_data, rust].map(|one| folded(one, in_rust.layout(), commits)).into();
        assert!(ours == theirs, "{stream}: {ours:?} {theirs:?}");
        snapshots += usize::from(theirs.is_some_and(|snapshots: Vec<Vec<u8>>| !snapshots.is_empty()));
    }
    assert!(snapshots > streams.len() / 2);
}
