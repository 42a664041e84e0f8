//! Free-form JSON read by serde: every text that is valid, with the reason why another one isn't.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::elements::Elements;
use super::key::Ordinal;
use super::members::{ARRAY, BOOL, NULL, NUMBER, OBJECT, STRING};
use super::{DEPTH_MAX, JsonObject};
use crate::squidex::json::Text;

impl<'de> Deserialize<'de> for JsonObject<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Elements::default();
        // The payload's own object is the first level, this object the second.
        let out = Depth { left: DEPTH_MAX - 1, elements: &mut elements };
        deserializer.deserialize_map(MembersOf { out, inside: false })?;
        Ok(Self::of_elements(elements.finish()))
    }
}

/// Reads a value and appends it, within a number of levels.
pub(in crate::squidex) struct Depth<'a> {
    /// Number of levels left, the value's own included.
    pub(in crate::squidex) left: usize,
    pub(in crate::squidex) elements: &'a mut Elements,
}

impl Depth<'_> {
    fn next<E: Error>(&self) -> Result<usize, E> {
        self.left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
    }

    fn number(self, value: f64) -> u8 {
        self.elements.bytes(&value.to_le_bytes());
        NUMBER
    }
}

/// Appends the members of an object.
struct MembersOf<'a> {
    out: Depth<'a>,
    /// True if the object is nested in another one of the same JSON value.
    inside: bool,
}

impl<'de> Visitor<'de> for MembersOf<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let left = self.out.next()?;
        let elements = self.out.elements;
        let first = elements.len();
        while let Some(Text(key)) = map.next_key()? {
            let at = elements.len();
            elements.key(NULL, &key, self.inside);
            let kind = map.next_value_seed(Depth { left, elements: &mut *elements })?;
            elements.set_kind(at, kind);
        }
        elements.make_unique::<Ordinal>(first);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Depth<'_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Returns the BSON type of the appended value.
impl<'de> Visitor<'de> for Depth<'_> {
    type Value = u8;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<u8, E> {
        Ok(NULL)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<u8, E> {
        self.elements.bytes(&[u8::from(value)]);
        Ok(BOOL)
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<u8, E> {
        Ok(self.number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<u8, E> {
        Ok(self.number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u8, E> {
        Ok(self.number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u8, E> {
        self.elements.text(text);
        Ok(STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u8, A::Error> {
        let left = self.next()?;
        let start = self.elements.open();
        for index in 0_usize.. {
            let at = self.elements.len();
            self.elements.item(NULL, index);
            let Some(kind) = seq.next_element_seed(Depth { left, elements: &mut *self.elements })? else {
                self.elements.truncate(at);
                break;
            };
            self.elements.set_kind(at, kind);
        }
        self.elements.close(start);
        Ok(ARRAY)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u8, A::Error> {
        let start = self.elements.open();
        let out = Depth { left: self.left, elements: &mut *self.elements };
        MembersOf { out, inside: true }.visit_map(map)?;
        self.elements.close(start);
        Ok(OBJECT)
    }
}
