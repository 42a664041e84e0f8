//! Data read by serde: every text that is valid, with the reason why another one isn't.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ContentData, LEVELS, Partitions};
use crate::squidex::json::Text;
use crate::squidex::value::JsonObject;
use crate::squidex::value::elements::Elements;
use crate::squidex::value::key::{Keys, Ordinal};
use crate::squidex::value::members::{NULL, OBJECT};
use crate::squidex::value::with_serde::Depth;

impl<'de> Deserialize<'de> for ContentData<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Elements::default();
        deserializer.deserialize_map(Fields(&mut elements))?;
        Ok(Self(JsonObject::of_elements(elements.finish())))
    }
}

/// Appends the fields of a content.
struct Fields<'a>(&'a mut Elements);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members_of::<Ordinal, A>(map, self.0, Kind::Field)
    }
}

/// Appends a field, or the value of a partition, and returns its BSON type.
struct Value<'a> {
    kind: Kind,
    elements: &'a mut Elements,
}

#[derive(Clone, Copy)]
enum Kind {
    Field,
    Value,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        match self.kind {
            Kind::Field => deserializer.deserialize_any(Field(self.elements)),
            Kind::Value => Depth { left: LEVELS, elements: self.elements }.deserialize(deserializer),
        }
    }
}

/// Appends the partitions of a field.
struct Field<'a>(&'a mut Elements);

impl<'de> Visitor<'de> for Field<'_> {
    type Value = u8;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of partitions, or null")
    }

    fn visit_unit<E: Error>(self) -> Result<u8, E> {
        Ok(NULL)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u8, A::Error> {
        let start = self.0.open();
        members_of::<Partitions, A>(map, self.0, Kind::Value)?;
        self.0.close(start);
        Ok(OBJECT)
    }
}

/// Appends the members of an object.
fn members_of<'de, K: Keys, A: MapAccess<'de>>(
    mut map: A,
    elements: &mut Elements,
    kind: Kind,
) -> Result<(), A::Error> {
    let first = elements.len();
    while let Some(Text(key)) = map.next_key()? {
        let at = elements.len();
        elements.key(NULL, K::kept(&key), true);
        let found = map.next_value_seed(Value { kind, elements: &mut *elements })?;
        elements.set_kind(at, found);
    }
    elements.make_unique::<K>(first);
    Ok(())
}
