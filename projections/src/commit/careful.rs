//! The careful reader: documents that the quick reader can't read, read with the bson crate.
//!
//! Its errors name what is wrong and where. Invariant: a commit that the quick reader accepts is read
//! the same way here, if all its values are valid BSON.

use bson::{RawBsonRef, RawDocument};

use crate::{CommitError, Event, FoldError, FoldFailure, Layout, Payload};

/// The entries of an array of events.
pub(super) type Entries<'a> = <&'a RawDocument as IntoIterator>::IntoIter;

/// The fields of a commit that a layout names.
pub(super) struct Fields<'a> {
    pub(super) stream: &'a str,
    pub(super) offset: i64,
    /// Number of entries in the array.
    pub(super) count: i64,
    /// The array of events, as the document that BSON stores it as.
    pub(super) events: &'a RawDocument,
}

/// Reads the fields of a commit.
///
/// # Errors
/// [`CommitError`] if a field of the layout is absent or has another type.
#[cold]
pub(super) fn fields<'a>(document: &'a RawDocument, layout: &Layout) -> Result<Fields<'a>, CommitError> {
    let (mut stream, mut offset, mut stored, mut events) = (None, None, None, None);
    for element in document {
        let (name, value) = element.map_err(|error| CommitError::Bson(error.to_string()))?;
        let name = name.as_str();
        if name == layout.stream {
            stream = Some(value.as_str().ok_or_else(|| wrong(name, "string", value))?);
        } else if name == layout.offset {
            offset = Some(integer(value).ok_or_else(|| wrong(name, "integer", value))?);
        } else if name == layout.events {
            events = Some(value.as_array().ok_or_else(|| wrong(name, "array", value))?);
        } else if layout.count.as_deref() == Some(name) {
            stored = Some(integer(value).ok_or_else(|| wrong(name, "integer", value))?);
        }
    }
    let missing = |field: &str| CommitError::Missing(field.to_owned());
    let stream = stream.ok_or_else(|| missing(&layout.stream))?;
    let offset = offset.ok_or_else(|| missing(&layout.offset))?;
    let events = events.ok_or_else(|| missing(&layout.events))?;
    let count = i64::try_from(events.into_iter().count()).unwrap_or(i64::MAX);
    if let Some(stored) = stored.filter(|stored| *stored != count) {
        return Err(CommitError::Count { stored, actual: count });
    }
    let events =
        RawDocument::from_bytes(events.as_bytes()).map_err(|error| CommitError::Bson(error.to_string()))?;
    Ok(Fields { stream, offset, count, events })
}

/// The last value of this name: a document may have a name twice. Other values are skipped unread.
#[cold]
pub(super) fn last<'a>(document: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    let elements = document.iter_elements().map_while(Result::ok);
    elements.filter(|element| element.key().as_str() == name).last()?.value().ok()
}

/// The entries of an array behind the first `passed` ones.
#[cold]
pub(super) fn entries_after(array: &RawDocument, passed: usize) -> Entries<'_> {
    let mut entries = array.iter();
    (0..passed).for_each(|_| drop(entries.next()));
    entries
}

/// Reads the next entry as the event of this number; `None` after the last one.
#[cold]
pub(super) fn next_event<'a>(
    entries: &mut Entries<'a>,
    stream: &'a str,
    number: i64,
    layout: &Layout,
) -> Option<Result<Event<'a>, FoldFailure>> {
    let entry = entries.next()?;
    let broken = |message: String| FoldFailure {
        number,
        event_type: String::new(),
        error: FoldError::Payload(message),
    };
    Some(match entry {
        Err(error) => Err(broken(error.to_string())),
        Ok((_, RawBsonRef::Document(document))) => event(stream, number, document, layout),
        Ok(_) => Err(broken("the event is not a document".into())),
    })
}

fn event<'a>(
    stream: &'a str,
    number: i64,
    document: &'a RawDocument,
    layout: &Layout,
) -> Result<Event<'a>, FoldFailure> {
    let (mut event_type, mut payload, mut metadata) = (None, None, None);
    let mut failure = None;
    for element in document {
        let Ok((name, value)) = element else {
            failure = Some("the event is not valid BSON".to_owned());
            break;
        };
        let name = name.as_str();
        if name == layout.event_type {
            event_type = value.as_str();
        } else if name == layout.payload {
            payload = match value {
                RawBsonRef::String(text) => Some(Payload::Json(text)),
                RawBsonRef::Document(document) => Some(Payload::Document(document)),
                _ => None,
            };
        } else if name == layout.metadata {
            metadata = value.as_document();
        }
    }
    let fail = |message: String| FoldFailure {
        number,
        event_type: event_type.unwrap_or_default().to_owned(),
        error: FoldError::Payload(message),
    };
    if let Some(message) = failure {
        return Err(fail(message));
    }
    Ok(Event {
        stream,
        number,
        event_type: event_type.ok_or_else(|| fail(format!("no text in `{}`", layout.event_type)))?,
        payload: payload.ok_or_else(|| fail(format!("no text and no document in `{}`", layout.payload)))?,
        metadata,
    })
}

/// An integer of any width, or a double that is a whole number.
pub(super) fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Int32(number) => Some(number.into()),
        // Shells and scripts write every number as a double.
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers within 2^53 are exact")]
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
            Some(number as i64)
        }
        _ => None,
    }
}

fn wrong(field: &str, expected: &'static str, value: RawBsonRef<'_>) -> CommitError {
    CommitError::Type { field: field.to_owned(), expected, actual: format!("{:?}", value.element_type()) }
}
