//! The borrowed view of one event that a projection folds.

use bson::RawDocument;
use serde::Deserialize;

use crate::FoldError;
use crate::walk::Walk;

/// One event of a stream, borrowed from the commit it was read with.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Number of the event in its stream, the first is 0.
    pub number: i64,
    /// Type name as stored.
    pub event_type: &'a str,
    /// The payload, not yet parsed: an event that a projection doesn't know costs nothing.
    pub payload: Payload<'a>,
    /// The headers, if the event has any.
    pub metadata: Option<&'a RawDocument>,
}

impl<'a> Event<'a> {
    /// A header of type string, `None` if it is absent, null or of another type.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&'a str> {
        let metadata = self.metadata?;
        let quick = match Walk::over(metadata).find(name) {
            Ok(found) => found?.text(),
            Err(odd) => Err(odd),
        };
        quick.ok().or_else(|| metadata.get(name).ok().flatten()?.as_str())
    }
}

/// The payload of an event: JSON text (Squidex), or a document.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// JSON text.
    Json(&'a str),
    /// A BSON document.
    Document(&'a RawDocument),
}

impl<'a> Payload<'a> {
    /// Reads the payload into a type that may borrow from it.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if the text isn't valid JSON or doesn't fit the type.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, FoldError> {
        match self {
            Self::Json(text) => {
                serde_json::from_str(text).map_err(|error| FoldError::Payload(error.to_string()))
            }
            Self::Document(document) => bson::deserialize_from_slice(document.as_bytes())
                .map_err(|error| FoldError::Payload(error.to_string())),
        }
    }
}
