//! The borrowed view of one document of the event store.

use bson::{RawArray, RawBsonRef, RawDocument};

use crate::{CommitError, Event, FoldError, FoldFailure, Layout, Payload};

/// One commit: consecutive events of one stream, borrowed from the bytes the server sent.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// The offset as stored: its meaning is the layout's.
    pub offset: i64,
    /// Number of the first event.
    pub first_number: i64,
    /// Number of events.
    pub count: i64,
    events: &'a RawArray,
    layout: &'a Layout,
}

impl<'a> Commit<'a> {
    /// Finds the parts of a commit in one walk over its elements; the events themselves are not read.
    ///
    /// # Errors
    /// [`CommitError`] if a field of the layout is absent or has another type.
    pub fn decode(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, CommitError> {
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
        let actual = i64::try_from(events.into_iter().count()).unwrap_or(i64::MAX);
        if let Some(stored) = stored.filter(|stored| *stored != actual) {
            return Err(CommitError::Count { stored, actual });
        }
        Ok(Self { stream, offset, first_number: layout.first_number(offset), count: actual, events, layout })
    }

    /// Name of the stream a document belongs to, where it has one.
    #[must_use]
    pub fn stream_of<'d>(document: &'d RawDocument, layout: &Layout) -> Option<&'d str> {
        document.get(&layout.stream).ok().flatten()?.as_str()
    }

    /// Number the next event of the stream has.
    #[must_use]
    pub fn next_number(&self) -> i64 {
        self.first_number.saturating_add(self.count)
    }

    /// The events, in order. An entry that isn't an event is an error in its place.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'a>, FoldFailure>> + use<'a> {
        let (stream, layout) = (self.stream, self.layout);
        self.events.into_iter().zip(self.first_number..).map(move |(entry, number)| {
            let broken = |message: String| FoldFailure {
                number,
                event_type: String::new(),
                error: FoldError::Payload(message),
            };
            let entry = entry.map_err(|error| broken(error.to_string()))?;
            let document = entry.as_document().ok_or_else(|| broken("the event is not a document".into()))?;
            event(stream, number, document, layout)
        })
    }
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

fn integer(value: RawBsonRef<'_>) -> Option<i64> {
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{RawDocumentBuf, doc};

    use super::*;

    fn raw(document: bson::Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    #[test]
    fn numbers_follow_from_the_offset_and_the_place_in_the_commit() {
        let layout = Layout::default();
        let document = raw(doc! {
            "_id": "x",
            "Events": [{"Type": "A", "Payload": "{}", "Metadata": {"h": "v"}}, {"Type": "B", "Payload": {"n": 1}}],
            "EventStreamOffset": 4_i64, "EventsCount": 2_i64, "EventStream": "s",
        });
        let commit = Commit::decode(&document, &layout).unwrap();
        assert_eq!((commit.first_number, commit.count, commit.next_number()), (5, 2, 7));
        let events: Vec<_> = commit.events().map(Result::unwrap).collect();
        assert_eq!(
            events.iter().map(|event| (event.number, event.event_type)).collect::<Vec<_>>(),
            [(5, "A"), (6, "B")]
        );
        assert_eq!(events.first().unwrap().header_str("h"), Some("v"));
        assert!(events.last().unwrap().metadata.is_none());
    }

    #[test]
    fn what_is_not_a_commit_is_named() {
        let layout = Layout::default();
        let cases = [
            (doc! {"Events": [], "EventStreamOffset": 0}, "the commit has no `EventStream`"),
            (doc! {"EventStream": 1}, "`EventStream` of the commit is a Int32, expected string"),
            (
                doc! {"EventStream": "s", "Events": [], "EventStreamOffset": 0, "EventsCount": 3},
                "the commit says it has 3 events, but holds 0",
            ),
        ];
        for (document, message) in cases {
            assert_eq!(Commit::decode(&raw(document), &layout).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_event_without_a_type_fails_alone() {
        let layout = Layout::default();
        let document = raw(doc! {
            "Events": [{"Payload": "{}"}, 7, {"Type": "T", "Payload": "{}"}],
            "EventStreamOffset": -1, "EventStream": "s",
        });
        let commit = Commit::decode(&document, &layout).unwrap();
        let events: Vec<_> = commit.events().collect();
        assert!(events.first().unwrap().is_err() && events.get(1).unwrap().is_err());
        assert_eq!(events.get(2).unwrap().as_ref().unwrap().number, 2);
    }
}
