//! Readers of stored documents and replies: format checks, numbers of any BSON type, refused writes.

use bson::{Bson, Document, Timestamp, doc};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::store::connection::error::classify_code;

/// Format of all documents that statefold writes.
pub(in crate::store) const FORMAT: i32 = 1;

/// Refuses a document that a newer statefold wrote.
pub(in crate::store) fn check_format(document: &Document, what: &str) -> Result<()> {
    let found = document.get_i32("Format").unwrap_or(FORMAT);
    if found > FORMAT {
        let (found, known) = (found.unsigned_abs(), FORMAT.unsigned_abs());
        return Err(Error::Newer { what: what.to_owned(), found, known });
    }
    Ok(())
}

/// Deserializes a document that statefold wrote.
///
/// # Errors
/// [`Error::Newer`] if its format is newer, [`Error::Mismatch`] if it can't be read at all.
pub(in crate::store) fn readable<T: DeserializeOwned>(document: Document, what: &str) -> Result<T> {
    check_format(&document, what)?;
    let id = document.get_str("_id").unwrap_or("?").to_owned();
    bson::deserialize_from_document(document)
        .map_err(|error| Error::Mismatch(format!("{what} ({id}) can't be read: {error}")))
}

/// Fails with the first write error of a reply that the driver takes for a success.
pub(in crate::store) fn refused_writes(doing: &str, reply: &Document) -> Result<()> {
    let first = |errors: &bson::Array| errors.first().and_then(bson::Bson::as_document).cloned();
    let refused = reply.get_array("writeErrors").ok().and_then(first);
    let refused = refused.or_else(|| reply.get_document("writeConcernError").ok().cloned());
    match refused {
        Some(error) => {
            let message = error.get_str("errmsg").unwrap_or("no reason given");
            Err(classify_code(doing, error.get_i32("code").unwrap_or(0), message))
        }
        None => Ok(()),
    }
}

pub(in crate::store) fn number_of(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

/// An offset, stored as any type of number.
pub(in crate::store) fn offset_of(value: &Bson) -> Option<i64> {
    number_of(value).or_else(|| whole(value.as_f64()?))
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
pub(crate) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// Majority read concern; with `since` after that operation time.
pub(in crate::store) fn read_concern(since: Option<Timestamp>) -> Document {
    let mut concern = doc! { "level": "majority" };
    if let Some(since) = since {
        concern.insert("afterClusterTime", since);
    }
    concern
}
