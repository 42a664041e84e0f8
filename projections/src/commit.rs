//! The borrowed view of one document of the event store.

use bson::{RawBsonRef, RawDocument};

use crate::walk::{self, Element, Unsupported, Walk};
use crate::{CommitError, Event, FoldFailure, Layout, Payload};

mod careful;

/// One commit: consecutive events of one stream, borrowed from the bytes the server sent.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// The offset as stored; the layout says how it counts.
    pub offset: i64,
    /// Number of the first event.
    pub first_number: i64,
    /// Number of events.
    pub count: i64,
    /// The array of events, as the document that BSON stores it as.
    events: &'a RawDocument,
    layout: &'a Layout,
}

impl<'a> Commit<'a> {
    /// Finds the fields of a commit in one walk over its elements; the events are counted, not read.
    /// Fields that the layout doesn't name are skipped, their values unread.
    ///
    /// # Errors
    /// [`CommitError`] if a field of the layout is absent or has another type.
    pub fn decode(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, CommitError> {
        Self::decode_quickly(document, layout).or_else(|Unsupported| Self::decode_carefully(document, layout))
    }

    /// Reads a document with the bson crate, which names what is wrong with it.
    #[cold]
    fn decode_carefully(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, CommitError> {
        let fields = careful::fields(document, layout)?;
        Ok(Self::new(fields.stream, fields.offset, fields.count, fields.events, layout))
    }

    fn decode_quickly(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, Unsupported> {
        let (mut stream, mut offset, mut stored, mut events) = (None, None, None, None);
        let mut elements = Walk::over(document);
        while let Some(element) = elements.next()? {
            if element.is(&layout.events) {
                events = Some(element.document(walk::ARRAY)?);
            } else if element.is(&layout.offset) {
                offset = Some(integer(&element)?);
            } else if element.is(&layout.stream) {
                stream = Some(element.text()?);
            } else if layout.count.as_deref().is_some_and(|count| element.is(count)) {
                stored = Some(integer(&element)?);
            }
        }
        let (stream, offset, events) =
            (stream.ok_or(Unsupported)?, offset.ok_or(Unsupported)?, events.ok_or(Unsupported)?);
        let count = Walk::over(events).count()?;
        if stored.is_some_and(|stored| stored != count) {
            return Err(Unsupported);
        }
        Ok(Self::new(stream, offset, count, events, layout))
    }

    fn new(stream: &'a str, offset: i64, count: i64, events: &'a RawDocument, layout: &'a Layout) -> Self {
        Self { stream, offset, first_number: layout.first_number(offset), count, events, layout }
    }

    /// Name of the stream a document belongs to, even if the document is no valid commit: enough to
    /// route it to the folder that owns the stream. Much cheaper than [`decode`](Self::decode), and
    /// equal to its result.
    #[must_use]
    pub fn stream_of(document: &'a RawDocument, layout: &Layout) -> Option<&'a str> {
        let quick =
            last(document, &layout.stream).and_then(|found| found.map(|found| found.text()).transpose());
        quick.unwrap_or_else(|Unsupported| careful::last(document, &layout.stream)?.as_str())
    }

    /// Offset of a document, even if the document is no valid commit; `None` if it has none. Equal to the
    /// result of [`decode`](Self::decode).
    #[must_use]
    pub fn offset_of(document: &RawDocument, layout: &Layout) -> Option<i64> {
        let quick = last(document, &layout.offset).and_then(|found| found.as_ref().map(integer).transpose());
        quick.unwrap_or_else(|Unsupported| careful::last(document, &layout.offset).and_then(careful::integer))
    }

    /// The `_id` of a document, whatever its type; `None` if it has none that can be read.
    #[must_use]
    pub fn id_of(document: &RawDocument) -> Option<RawBsonRef<'_>> {
        let quick = match Walk::over(document).find("_id") {
            Ok(found) => found?.text(),
            Err(odd) => Err(odd),
        };
        quick.ok().map(RawBsonRef::String).or_else(|| document.get("_id").ok().flatten())
    }

    /// Number of the event that follows this commit in its stream.
    #[must_use]
    pub fn next_number(&self) -> i64 {
        self.first_number.saturating_add(self.count)
    }

    /// The events, in order. An entry that isn't an event yields an error.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'a>, FoldFailure>> + use<'a> {
        Events {
            commit: *self,
            number: self.first_number,
            quick: Walk::over(self.events),
            passed: 0,
            careful: None,
        }
    }
}

/// The last element of this name: a document may have a name twice.
fn last<'a>(document: &'a RawDocument, name: &str) -> Result<Option<Element<'a>>, Unsupported> {
    let (mut elements, mut found) = (Walk::over(document), None);
    while let Some(element) = elements.next()? {
        if element.is(name) {
            found = Some(element);
        }
    }
    Ok(found)
}

struct Events<'a> {
    commit: Commit<'a>,
    /// Number of the next event.
    number: i64,
    quick: Walk<'a>,
    /// Number of entries that the quick reader has read.
    passed: usize,
    /// The entries from the first one on that the quick reader couldn't read.
    careful: Option<careful::Entries<'a>>,
}

impl<'a> Events<'a> {
    /// Reads the next entry with the bson crate, which is used for all further entries, too.
    #[cold]
    fn next_carefully(&mut self) -> Option<Result<Event<'a>, FoldFailure>> {
        let Commit { stream, layout, events, .. } = self.commit;
        let entries = self.careful.get_or_insert_with(|| careful::entries_after(events, self.passed));
        let event = careful::next_event(entries, stream, self.number, layout)?;
        self.number = self.number.saturating_add(1);
        Some(event)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, FoldFailure>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.careful.is_none() {
            let entry = match self.quick.next() {
                Ok(None) => return None,
                Ok(Some(entry)) => event(self.commit, self.number, &entry),
                Err(odd) => Err(odd),
            };
            if let Ok(event) = entry {
                self.number = self.number.saturating_add(1);
                self.passed += 1;
                return Some(Ok(event));
            }
        }
        self.next_carefully()
    }
}

#[inline]
fn event<'a>(commit: Commit<'a>, number: i64, entry: &Element<'a>) -> Result<Event<'a>, Unsupported> {
    let layout = commit.layout;
    let (mut event_type, mut payload, mut metadata) = (None, None, None);
    let mut elements = Walk::over(entry.document(walk::DOCUMENT)?);
    while let Some(element) = elements.next()? {
        if element.is(&layout.event_type) {
            event_type = Some(element.text()?);
        } else if element.is(&layout.payload) {
            payload = Some(match element.kind {
                walk::STRING => Payload::Json(element.text()?),
                _ => Payload::Document(element.document(walk::DOCUMENT)?),
            });
        } else if element.is(&layout.metadata) {
            metadata = Some(element.document(walk::DOCUMENT)?);
        }
    }
    let (event_type, payload) = (event_type.ok_or(Unsupported)?, payload.ok_or(Unsupported)?);
    Ok(Event { stream: commit.stream, number, event_type, payload, metadata })
}

fn integer(element: &Element<'_>) -> Result<i64, Unsupported> {
    match (element.kind, element.value) {
        (walk::INT64, &[a, b, c, d, e, f, g, h]) => Ok(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
        (walk::INT32, &[a, b, c, d]) => Ok(i32::from_le_bytes([a, b, c, d]).into()),
        _ => Err(Unsupported),
    }
}

#[cfg(test)]
mod tests;
