//! Odd streams of contents: what Squidex wrote, or a failed stream where it wrote nothing.

use std::collections::BTreeMap;

use bson::{Document, RawDocumentBuf};
use serde::Deserialize;
use statefold_projections::Registered;
use statefold_projections::squidex::Contents;

use crate::recorded::{Documents, Others, assert_equal, fold, id, root, stream_of};

/// A case of `wild.json`, documents in the order of their elements.
#[derive(Deserialize)]
struct Case {
    case: String,
    projection: String,
    commits: Vec<Document>,
    squidex: Squidex,
}

#[derive(Deserialize)]
struct Squidex {
    documents: BTreeMap<String, Option<Document>>,
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// The snapshots of the odd stream, by target; `None` if it fails.
fn outcome(case: &Case) -> Option<[Documents; 2]> {
    let commits: Vec<RawDocumentBuf> = case.commits.iter().map(raw).collect();
    let stream = stream_of(commits.first().unwrap()).to_owned();
    let projection = Registered::new(Contents::new());
    let snapshots = fold(&projection, &stream, &commits, &Others::default()).ok()?;
    let [all, published] = snapshots.targets() else { panic!("two targets") };
    Some([all, published].map(|target| {
        let documents = target.documents().map(|bytes| RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap());
        documents.map(|document| (id(&document), document)).collect()
    }))
}

#[test]
fn odd_streams_end_as_in_squidex_or_fail() {
    let Some(root) = root() else { return };
    let text = std::fs::read_to_string(root.join("wild.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for case in cases.iter().filter(|case| case.projection == "Contents") {
        count += 1;
        let name = &case.case;
        let recorded = ["States_Contents_All3", "States_Contents_Published3"]
            .map(|target| case.squidex.documents.get(target).unwrap());
        let outcome = outcome(case);
        if recorded.iter().all(|document| document.is_none()) {
            assert!(outcome.is_none(), "{name} doesn't fail");
            continue;
        }
        let built = outcome.unwrap_or_else(|| panic!("{name} fails"));
        for (built, recorded) in built.iter().zip(recorded) {
            let recorded: Documents =
                recorded.iter().map(raw).map(|document| (id(&document), document)).collect();
            assert_equal(built, &recorded, name);
        }
    }
    assert!(count >= 7, "{count} cases");
}
