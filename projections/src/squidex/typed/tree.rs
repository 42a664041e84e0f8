//! Reads a free-form JSON value into a tree of bounded depth.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Number, Value};

use crate::squidex::json::Text;

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct Tree {
    /// Number of levels of nesting that are left, the value's own included.
    pub(super) levels: usize,
    /// Makes every number a double, as Squidex does in free-form values.
    pub(super) doubles: bool,
}

impl Tree {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { levels, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        if self.doubles { self.visit_f64(number as f64) } else { Ok(number.into()) }
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        if self.doubles { self.visit_f64(number as f64) } else { Ok(number.into()) }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let refused = || E::invalid_value(Unexpected::Float(number), &self);
        Number::from_f64(number).map(Value::Number).ok_or_else(refused)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let (seed, mut items) = (self.inside()?, Vec::new());
        while let Some(item) = seq.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (seed, mut members) = (self.inside()?, Map::new());
        while let Some(Text(key)) = map.next_key()? {
            members.insert(key.into_owned(), map.next_value_seed(seed)?);
        }
        Ok(Value::Object(members))
    }
}
