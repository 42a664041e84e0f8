//! Documents to bytes and back, as far as they are needed. What isn't plain is left to the bson crate.

use bson::oid::ObjectId;
use bson::{Binary, Bson, Decimal128, Document, RawDocument, Timestamp};

use super::error::{ApplyError, Fault};
use super::members::Few;
use crate::DocumentWriter;
use crate::walk::{ARRAY, DOCUMENT, DOUBLE, Element, INT32, INT64, STRING, Unsupported, Walk};

/// A document, decoded.
///
/// # Errors
/// It can't be decoded.
pub(super) fn members(document: &RawDocument) -> Result<Document, bson::error::Error> {
    plain(document).or_else(|Unsupported| Document::try_from(document))
}

fn plain(document: &RawDocument) -> Result<Document, Unsupported> {
    let (mut members, mut unread) = (Document::new(), Walk::over(document));
    while let Some(element) = unread.next()? {
        members.insert(element.name()?, value(&element)?);
    }
    Ok(members)
}

/// Some members of a plain document: those that get a name, with their value, or with null if it isn't
/// looked at.
///
/// # Errors
/// [`Unsupported`] if it isn't one.
pub(super) fn few_members<'n>(
    document: &RawDocument,
    most: usize,
    needed: impl Fn(&[u8]) -> Option<(&'n str, bool)>,
) -> Result<Few<'n>, Unsupported> {
    let (mut members, mut unread) = (Few(Vec::with_capacity(most)), Walk::over(document));
    while let Some(element) = unread.next()? {
        match needed(element.name) {
            Some((name, true)) => members.put(name, value(&element)?),
            Some((name, false)) => members.put(name, Bson::Null),
            None => {}
        }
    }
    Ok(members)
}

fn value(element: &Element<'_>) -> Result<Bson, Unsupported> {
    Ok(match (element.kind, element.value) {
        (STRING, _) => Bson::String(element.text()?.to_owned()),
        (DOUBLE, value) => Bson::Double(f64::from_le_bytes(eight(value)?)),
        (INT64, value) => Bson::Int64(i64::from_le_bytes(eight(value)?)),
        (0x09, value) => Bson::DateTime(bson::DateTime::from_millis(i64::from_le_bytes(eight(value)?))),
        (INT32, value) => Bson::Int32(i32::from_le_bytes(*value.first_chunk().ok_or(Unsupported)?)),
        (0x08, [is]) if *is < 2 => Bson::Boolean(*is == 1),
        (0x0A, _) => Bson::Null,
        (DOCUMENT, _) => Bson::Document(members(element.document(DOCUMENT)?).map_err(|_| Unsupported)?),
        (ARRAY, _) => {
            let (mut items, mut unread) = (Vec::new(), Walk::over(element.document(ARRAY)?));
            while let Some(item) = unread.next()? {
                items.push(value(&item)?);
            }
            Bson::Array(items)
        }
        (0x05, [_, _, _, _, subtype, bytes @ ..]) => {
            Bson::Binary(Binary { subtype: (*subtype).into(), bytes: bytes.to_vec() })
        }
        (0x07, value) => Bson::ObjectId(ObjectId::from_bytes(*value.first_chunk().ok_or(Unsupported)?)),
        (0x11, value) => {
            let [a, b, c, d, e, f, g, h] = eight(value)?;
            let (increment, time) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            Bson::Timestamp(Timestamp { time, increment })
        }
        (0x13, value) => Bson::Decimal128(Decimal128::from_bytes(*value.first_chunk().ok_or(Unsupported)?)),
        _ => return Err(Unsupported),
    })
}

fn eight(value: &[u8]) -> Result<[u8; 8], Unsupported> {
    value.first_chunk().copied().ok_or(Unsupported)
}

/// Encodes a document behind what is there.
///
/// # Errors
/// A name or a size can't be stored.
pub(super) fn document(members: &Document, bytes: &mut Vec<u8>) -> Result<(), ApplyError> {
    build(bytes, |writer| writer.values(members))
}

/// Builds a document behind what is there.
///
/// # Errors
/// A name or a size can't be stored.
pub(super) fn build(
    bytes: &mut Vec<u8>,
    write: impl FnOnce(&mut DocumentWriter<'_>),
) -> Result<(), ApplyError> {
    let mut valid = true;
    let mut writer = DocumentWriter::open(bytes, &mut valid);
    write(&mut writer);
    writer.close();
    let reason = match (valid, i32::try_from(bytes.len())) {
        (true, Ok(_)) => return Ok(()),
        (false, _) => "the name of a field has a NUL character",
        (true, Err(_)) => "it is too large",
    };
    Err(Fault::Wrong(reason.to_owned()).of("the document"))
}
