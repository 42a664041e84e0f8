//! The worked examples of the format, from whole commits to whole documents, byte by byte.
//!
//! `golden/squidex.json` is extended JSON. Its collections carry the number of the generation that
//! Squidex itself writes.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{Document, RawDocumentBuf};
use serde::Deserialize;
use statefold_projections::testing::fold_stream;
use statefold_projections::{NoLookup, Registered, squidex};

#[derive(Deserialize)]
struct Case {
    name: String,
    collection: String,
    commits: Vec<Document>,
    expected: Option<Document>,
}

#[test]
fn every_worked_example_gives_the_document_it_shows() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/squidex.json")).unwrap();
    assert_eq!(cases.len(), 10);
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn check(case: &Case) -> Result<(), String> {
    let registry = squidex::registry();
    let of_collection =
        |one: &&Registered| one.spec().targets().iter().any(|target| target.generation(2) == case.collection);
    let projection = registry.projections().iter().find(of_collection).unwrap();
    let stream = case.commits.first().unwrap().get_str("EventStream").unwrap();
    if !projection.spec().stream_filter().matches(stream) {
        // What is left of a permanently deleted object is no stream of the projection.
        return if case.expected.is_none() { Ok(()) } else { Err(format!("{}: not folded", case.name)) };
    }
    let commits: Vec<RawDocumentBuf> =
        case.commits.iter().map(|commit| RawDocumentBuf::try_from(commit).unwrap()).collect();
    let mut states = projection.states();
    let snapshots = fold_stream(projection, &mut *states, &commits, registry.layout(), stream, &NoLookup)
        .map_err(|failure| format!("{}: {failure}", case.name))?;
    let found = snapshots.targets().first().and_then(|target| target.documents().next());
    let expected = case.expected.as_ref().map(|document| RawDocumentBuf::try_from(document).unwrap());
    if found == expected.as_ref().map(|document| document.as_bytes()) {
        return Ok(());
    }
    let found =
        found.map(|bytes| Document::try_from(RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap()).unwrap());
    let show = |document: Option<&Document>| document.map_or("nothing".into(), ToString::to_string);
    Err(format!(
        "{}:\n  expected {}\n  found    {}",
        case.name,
        show(case.expected.as_ref()),
        show(found.as_ref())
    ))
}
