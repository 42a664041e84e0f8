//! Comparison of two collections of snapshots, document by document in the order of their ids.

use std::cmp::Ordering;

use bson::{Bson, Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::{Cursor, Database};

use crate::database::REFERENCE;
use crate::error::Result;

/// Similarity of two equal results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Equal byte by byte.
    Identical,
    /// Equal value by value; this many documents have their fields in another order.
    Reordered(u64),
}

/// Compares a collection with the reference.
///
/// # Errors
/// If they differ: the first differing document, and how it differs.
pub(crate) async fn with_reference(db: &Database, collection: &str) -> Result<Verdict> {
    let (mut ours, mut theirs) = (open(db, REFERENCE).await?, open(db, collection).await?);
    let mut reordered = 0;
    loop {
        let (expected, actual) = match (ours.try_next().await?, theirs.try_next().await?) {
            (Some(expected), Some(actual)) => (expected, actual),
            (None, None) => break,
            (Some(missing), None) => return Err(differs(collection, "has no", &missing)),
            (None, Some(extra)) => return Err(differs(collection, "should not have", &extra)),
        };
        match id(&expected).cmp(id(&actual)) {
            Ordering::Less => return Err(differs(collection, "has no", &expected)),
            Ordering::Greater => return Err(differs(collection, "should not have", &actual)),
            Ordering::Equal => {}
        }
        if expected != actual {
            same(&expected, &actual).map_err(|how| format!("{collection}: {}: {how}", id(&expected)))?;
            reordered += 1;
        }
    }
    Ok(if reordered == 0 { Verdict::Identical } else { Verdict::Reordered(reordered) })
}

async fn open(db: &Database, collection: &str) -> Result<Cursor<RawDocumentBuf>> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    Ok(collection.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000).await?)
}

fn id(document: &RawDocumentBuf) -> &str {
    document.get_str("_id").unwrap_or_default()
}

fn differs(collection: &str, how: &str, document: &RawDocumentBuf) -> crate::error::Failure {
    format!("{collection} {how} {}", id(document)).into()
}

/// Checks that two documents have equal values, in any order of their fields; the error is the first
/// difference.
fn same(expected: &RawDocumentBuf, actual: &RawDocumentBuf) -> std::result::Result<(), String> {
    let parse = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).map_err(|error| error.to_string());
    let (expected, actual) = (parse(expected)?, parse(actual)?);
    for (name, value) in &expected {
        match actual.get(name) {
            Some(other) if equal(value, other) => {}
            Some(other) => return Err(format!("`{name}` is {other}, expected {value}")),
            None => return Err(format!("`{name}` is missing, expected {value}")),
        }
    }
    match actual.keys().find(|name| !expected.contains_key(name)) {
        Some(extra) => Err(format!("`{extra}` should not be there")),
        None => Ok(()),
    }
}

fn equal(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Document(left), Bson::Document(right)) => {
            let found =
                |(name, value): (&String, &Bson)| right.get(name).is_some_and(|other| equal(value, other));
            left.len() == right.len() && left.iter().all(found)
        }
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => left == right,
    }
}
