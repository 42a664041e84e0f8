//! From a stored event to what a definition sees of it: `$$event` and `$$stream`.

use bson::raw::RawBsonRef;
use bson::{Bson, Document, RawDocument};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::layout::Form;
use super::needs::{Fields, Needs};
use super::source::whole;
use crate::declarative::scope::{Bound, Members};
use crate::{Event, FoldError, Payload, StreamKey};

/// How events are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Binding {
    /// The form of payloads; `None` takes both.
    pub(super) form: Option<Form>,
    /// The header with the time of an event.
    pub(super) event_time: Option<String>,
}

impl Binding {
    /// The needed parts of an event whose type is this now, and of its stream.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if the payload can't be read.
    pub(super) fn bind(
        &self,
        needs: &Needs,
        event: &Event<'_>,
        now: &Seen<'_>,
        key: &StreamKey<'_>,
    ) -> Result<Bound, FoldError> {
        let mut bound: Members = Vec::new();
        if !needs.payload.is_none() {
            let payload = match &now.payload {
                Some(payload) => payload.clone(),
                None => self.payload(event, &needs.payload)?,
            };
            bound.push(("payload".into(), payload));
        }
        if !needs.headers.is_none()
            && let Some(headers) = event.metadata
        {
            bound.push(("headers".into(), document(headers, &needs.headers)?.into()));
        }
        if needs.event_type {
            bound.push(("type".into(), now.event_type.into()));
        }
        if needs.number {
            bound.push(("number".into(), event.number.into()));
        }
        if needs.timestamp
            && let Some(time) = self.time(event)?
        {
            bound.push(("timestamp".into(), time));
        }
        let mut stream: Members = Vec::new();
        if needs.stream {
            stream.push(("key".into(), key.id().into()));
            stream.push(("name".into(), key.stream().into()));
        }
        Ok(Bound::of(bound, stream))
    }

    /// The payload, or these fields of it.
    pub(super) fn payload(&self, event: &Event<'_>, fields: &Fields) -> Result<Bson, FoldError> {
        match (event.payload, self.form) {
            (Payload::Json(_), Some(Form::Document)) => Err(FoldError::Payload(
                "it is a text, and the layout says `payload = \"document\"`".to_owned(),
            )),
            (Payload::Document(_), Some(Form::Text)) => Err(FoldError::Payload(
                "it is a document, and the layout says `payload = \"text\"`".to_owned(),
            )),
            (Payload::Json(text), _) => {
                let mut reader = serde_json::Deserializer::from_str(text);
                let read =
                    Top(fields).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
                read.map_err(|error| FoldError::Payload(error.to_string()))
            }
            (Payload::Document(raw), _) => document(raw, fields).map(Bson::Document),
        }
    }

    /// The time of an event: a date, or a text as `2024-02-29T12:30:00.5Z`, to the millisecond.
    fn time(&self, event: &Event<'_>) -> Result<Option<Bson>, FoldError> {
        let Some((name, headers)) = self.event_time.as_deref().zip(event.metadata) else { return Ok(None) };
        let unreadable = |what: String| FoldError::Payload(format!("the header `{name}`: {what}"));
        match headers.get(name).map_err(|error| unreadable(error.to_string()))? {
            Some(RawBsonRef::DateTime(time)) => Ok(Some(Bson::DateTime(time))),
            Some(RawBsonRef::String(text)) => match bson::DateTime::parse_rfc3339_str(text) {
                Ok(time) => Ok(Some(Bson::DateTime(time))),
                Err(_) => Err(unreadable(format!("`{text}` is no time as 2024-02-29T12:30:00Z"))),
            },
            Some(RawBsonRef::Timestamp(time)) => {
                Ok(Some(Bson::DateTime(bson::DateTime::from_millis(i64::from(time.time) * 1000))))
            }
            Some(RawBsonRef::Int64(ms)) => Ok(Some(Bson::DateTime(bson::DateTime::from_millis(ms)))),
            Some(RawBsonRef::Null | RawBsonRef::Undefined) | None => Ok(None),
            Some(other) => Err(unreadable(format!("a {:?} is no time", other.element_type()))),
        }
    }
}

/// An event as the upcasts leave it.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub(super) event_type: &'a str,
    /// The payload, if it was reshaped.
    pub(super) payload: Option<Bson>,
}

fn document(raw: &RawDocument, fields: &Fields) -> Result<Document, FoldError> {
    let unreadable = |error: String| FoldError::Payload(error);
    let mut read = Document::new();
    for element in raw {
        let (name, value) = element.map_err(|error| unreadable(error.to_string()))?;
        if fields.has(name.as_str()) {
            let value = Bson::try_from(value).map_err(|error| unreadable(error.to_string()))?;
            read.insert(name.as_str(), value);
        }
    }
    Ok(read)
}

/// The value of a payload: of an object only these fields.
struct Top<'f>(&'f Fields);

/// A value within it, whole.
struct Within;

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Bson;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bson, D::Error> {
        deserializer.deserialize_any(Values(self.0))
    }
}

impl<'de> DeserializeSeed<'de> for Within {
    type Value = Bson;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bson, D::Error> {
        deserializer.deserialize_any(Values(&Fields::All))
    }
}

/// The name of a member, if it is one of these.
struct Name<'f>(&'f Fields);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<String>, E> {
        Ok(self.0.has(name).then(|| name.to_owned()))
    }
}

struct Values<'f>(&'f Fields);

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Bson;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Bson, E> {
        Ok(whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Bson, E> {
        // Beyond 63 bits it is a double, as for JavaScript.
        #[expect(clippy::cast_precision_loss, reason = "there is no wider number")]
        Ok(i64::try_from(value).map_or(Bson::Double(value as f64), whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Bson, E> {
        Ok(Bson::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bson, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Within)? {
            array.push(item);
        }
        Ok(Bson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bson, A::Error> {
        let mut document = Document::new();
        while let Some(needed) = members.next_key_seed(Name(self.0))? {
            match needed {
                Some(name) => drop(document.insert(name, members.next_value_seed(Within)?)),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Bson::Document(document))
    }
}
