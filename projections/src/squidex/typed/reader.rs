//! Reads a value of a kind with serde, from the text of a payload or from a tree.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Number, Value};

use super::kind::{Kind, Member};
use super::tree::Tree;
use crate::squidex::id::{EMPTY_ID, is_guid};
use crate::squidex::json::Text;
use crate::squidex::{language, time};

/// Reads one value of a kind.
#[derive(Clone, Copy)]
pub(super) struct Seed {
    pub(super) kind: &'static Kind,
    /// Number of levels of nesting that are left, the value's own included.
    pub(super) levels: usize,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.kind {
            Kind::Json => Tree { levels: self.levels, doubles: true }.deserialize(deserializer),
            Kind::Custom(of) => {
                let tree = Tree { levels: self.levels, doubles: false }.deserialize(deserializer)?;
                if tree.is_null() { Ok(tree) } else { of(tree).map_err(D::Error::custom) }
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl Seed {
    /// The seed of a value inside this one.
    fn inside<E: Error>(self, kind: &'static Kind) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { kind, levels })
    }

    /// The kind of a value that isn't null.
    fn inner(self) -> Self {
        match self.kind {
            Kind::Optional(kind) => Self { kind, ..self }.inner(),
            _ => self,
        }
    }

    fn int<E: Error>(self, number: i64, unexpected: Unexpected<'_>) -> Result<Value, E> {
        let refused = || E::invalid_value(unexpected, &self);
        match self.inner().kind {
            Kind::Int32 => i32::try_from(number).map(Value::from).map_err(|_| refused()),
            Kind::Int64 => Ok(number.into()),
            Kind::Enum(names) => {
                let number = i32::try_from(number).map_err(|_| refused())?;
                let name = usize::try_from(number).ok().and_then(|at| names.get(at));
                Ok(name.map_or_else(|| number.into(), |name| (*name).into()))
            }
            _ => Err(refused()),
        }
    }

    fn double<E: Error>(self, number: f64) -> Result<Value, E> {
        let unexpected = Unexpected::Float(number);
        match self.inner().kind {
            Kind::Double => {
                Number::from_f64(number).map(Value::Number).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
            _ => Err(E::invalid_type(unexpected, &self)),
        }
    }

    /// The value of a text, `None` if it isn't one of this kind.
    fn text(self, text: &str) -> Option<Value> {
        match self.inner().kind {
            Kind::Text | Kind::Status | Kind::Id => Some(text.into()),
            Kind::Guid => is_guid(text).then(|| text.to_ascii_lowercase().into()),
            Kind::Moment => time::parse(text).map(|instant| instant.to_string().into()),
            Kind::Language => Some(language::canonical(text).into()),
            Kind::Enum(names) => {
                let name = names.iter().find(|name| name.eq_ignore_ascii_case(text));
                name.map_or_else(|| self.number(text), |name| Some((*name).into()))
            }
            _ => self.number(text),
        }
    }

    fn number(self, text: &str) -> Option<Value> {
        match self.inner().kind {
            Kind::Double => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
            _ => {
                let number = text.parse().ok()?;
                self.int::<serde::de::value::Error>(number, Unexpected::Str(text)).ok()
            }
        }
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.inner().kind {
            Kind::Text => "a string",
            Kind::Bool => "a boolean",
            Kind::Int32 => "a whole number of 32 bits",
            Kind::Int64 => "a whole number",
            Kind::Double => "a number",
            Kind::Enum(_) => "a name or number of an enumeration",
            Kind::Id => "an id",
            Kind::Guid => "a GUID with dashes",
            Kind::Status => "a status",
            Kind::Moment => "an instant",
            Kind::Language => "a language",
            Kind::List(_) => "an array",
            Kind::Map(_) | Kind::GuidMap(_) | Kind::Object(_) => "an object",
            Kind::Json | Kind::Custom(_) | Kind::Optional(_) => "a JSON value",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        match self.kind {
            Kind::Id => Ok(EMPTY_ID.into()),
            Kind::Optional(_)
            | Kind::Text
            | Kind::Language
            | Kind::List(_)
            | Kind::Map(_)
            | Kind::GuidMap(_)
            | Kind::Object(_) => Ok(Value::Null),
            _ => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        match self.inner().kind {
            Kind::Bool => Ok(value.into()),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        match self.inner().kind {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
            Kind::Double => self.double(number as f64),
            _ => self.int(number, Unexpected::Signed(number)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        match self.inner().kind {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
            Kind::Double => self.double(number as f64),
            _ => {
                let unexpected = Unexpected::Unsigned(number);
                let number = i64::try_from(number).map_err(|_| E::invalid_value(unexpected, &self))?;
                self.int(number, unexpected)
            }
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.double(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.text(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Kind::List(kind) = self.inner().kind else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        let (seed, mut items) = (self.inside(kind)?, Vec::new());
        while let Some(item) = seq.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        match self.inner().kind {
            Kind::Object(table) => self.object(table, map),
            Kind::Map(kind) => self.entries(kind, map, Some),
            Kind::GuidMap(kind) => {
                self.entries(kind, map, |key| is_guid(&key).then(|| key.to_ascii_lowercase()))
            }
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

impl Seed {
    fn object<'de, A: MapAccess<'de>>(self, table: &'static [Member], mut map: A) -> Result<Value, A::Error> {
        let mut values: Vec<Option<Value>> = vec![None; table.len()];
        while let Some(Text(key)) = map.next_key()? {
            let mut places = table.iter().zip(&mut values);
            match places.find(|(member, _)| member.name.eq_ignore_ascii_case(&key)) {
                Some((member, value)) => {
                    let seed = self.inside(&member.kind)?;
                    let read = map.next_value_seed(seed);
                    *value = Some(read.map_err(|error| in_member(member.name, &error))?);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let or_default = |(member, value): (&Member, Option<Value>)| {
            (member.name.to_owned(), value.unwrap_or_else(|| member.default_value()))
        };
        Ok(Value::Object(table.iter().zip(values).map(or_default).collect()))
    }

    fn entries<'de, A: MapAccess<'de>>(
        self,
        kind: &'static Kind,
        mut map: A,
        key_of: fn(String) -> Option<String>,
    ) -> Result<Value, A::Error> {
        let (seed, mut entries) = (self.inside(kind)?, Map::new());
        while let Some(Text(key)) = map.next_key()? {
            let Some(key) = key_of(key.clone().into_owned()) else {
                return Err(A::Error::invalid_value(Unexpected::Str(&key), &"a GUID with dashes"));
            };
            let value = map.next_value_seed(seed).map_err(|error| in_member(&key, &error))?;
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
}

fn in_member<E: Error>(name: &str, error: &E) -> E {
    E::custom(format_args!("{name}: {error}"))
}
