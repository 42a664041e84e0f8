//! From a stored event to what a definition sees of it: `$$event` and `$$stream`.

use std::borrow::Cow;

use bson::raw::RawBsonRef;
use bson::{Bson, Document, RawDocument};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::layout::Form;
use super::needs::{Fields, Needs};
use super::source::whole;
use crate::declarative::encoded;
use crate::declarative::members::{Few, Members, is_same};
use crate::declarative::scope::{Bound, Part};
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
    pub(super) fn bind<'n>(
        &self,
        needs: &'n Needs,
        event: &Event<'_>,
        now: &Seen<'_>,
        key: &StreamKey<'_>,
    ) -> Result<Bound<'n>, FoldError> {
        let mut bound: Vec<(Cow<'n, str>, Part<'n>)> = Vec::with_capacity(5);
        if !needs.payload.is_none() {
            let payload = match &now.payload {
                Some(payload) => Part::Value(payload.clone()),
                None => self.payload(event, &needs.payload)?,
            };
            bound.push(("payload".into(), payload));
        }
        if !needs.headers.is_none()
            && let Some(headers) = event.metadata
        {
            bound.push(("headers".into(), document(headers, &needs.headers)?));
        }
        if needs.event_type {
            bound.push(("type".into(), Part::Value(now.event_type.into())));
        }
        if needs.number {
            bound.push(("number".into(), Part::Value(event.number.into())));
        }
        if needs.timestamp
            && let Some(time) = self.time(event)?
        {
            bound.push(("timestamp".into(), Part::Value(time)));
        }
        let mut stream = Few::default();
        if needs.stream {
            stream.add("key", key.id().into());
            stream.add("name", key.stream().into());
        }
        Ok(Bound::of(bound, stream))
    }

    /// The payload, or these fields of it.
    pub(super) fn payload<'n>(&self, event: &Event<'_>, fields: &'n Fields) -> Result<Part<'n>, FoldError> {
        match (event.payload, self.form) {
            (Payload::Json(_), Some(Form::Document)) => Err(FoldError::Payload(
                "it is a text, and the layout says `payload = \"document\"`".to_owned(),
            )),
            (Payload::Document(_), Some(Form::Text)) => Err(FoldError::Payload(
                "it is a document, and the layout says `payload = \"text\"`".to_owned(),
            )),
            (Payload::Json(text), _) => {
                let mut reader = serde_json::Deserializer::from_str(text);
                let read = match fields {
                    Fields::Named(names) if text.trim_start().starts_with('{') => {
                        reader.deserialize_map(Top(names)).map(Part::Few)
                    }
                    _ => Within.deserialize(&mut reader).map(Part::Value),
                };
                let read = read.and_then(|value| reader.end().map(|()| value));
                read.map_err(|error| FoldError::Payload(error.to_string()))
            }
            (Payload::Document(raw), _) => document(raw, fields),
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

fn document<'n>(raw: &RawDocument, fields: &'n Fields) -> Result<Part<'n>, FoldError> {
    if let Fields::Named(names) = fields {
        let named = |name: &[u8]| {
            names.iter().find(|own| is_same(own.as_bytes(), name)).map(|own| (own.as_str(), true))
        };
        if let Ok(few) = encoded::few_members(raw, names.len(), named) {
            return Ok(Part::Few(few));
        }
    }
    let unreadable = |error: bson::error::Error| FoldError::Payload(error.to_string());
    let Fields::Named(names) = fields else {
        return encoded::members(raw).map(|whole| Part::Value(whole.into())).map_err(unreadable);
    };
    // An odd document, element by element.
    let mut few = Few::default();
    for element in raw {
        let (name, value) = element.map_err(unreadable)?;
        if let Some(name) = names.iter().find(|own| *own == name.as_str()) {
            few.put(name, Bson::try_from(value).map_err(unreadable)?);
        }
    }
    Ok(Part::Few(few))
}

/// The members of an object that have these names.
struct Top<'n>(&'n [String]);

impl<'de, 'n> Visitor<'de> for Top<'n> {
    type Value = Few<'n>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Few<'n>, A::Error> {
        let mut few = Few(Vec::with_capacity(self.0.len()));
        while let Some(needed) = members.next_key_seed(Name(self.0))? {
            match needed {
                Some(name) => few.put(name, members.next_value_seed(Within)?),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(few)
    }
}

/// The name of a member, if it is one of these.
struct Name<'n>(&'n [String]);

impl<'de, 'n> DeserializeSeed<'de> for Name<'n> {
    type Value = Option<&'n str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<&'n str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Name<'n> {
    type Value = Option<&'n str>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<&'n str>, E> {
        Ok(self.0.iter().map(String::as_str).find(|own| *own == name))
    }
}

/// A value, whole.
struct Within;

impl<'de> DeserializeSeed<'de> for Within {
    type Value = Bson;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bson, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within {
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
        while let Some(name) = members.next_key::<String>()? {
            document.insert(name, members.next_value_seed(Self)?);
        }
        Ok(Bson::Document(document))
    }
}
