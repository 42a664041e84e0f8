//! Free-form JSON inside payloads (asset metadata): read, compared, written as BSON.
//!
//! Every number is a double. Strings are borrowed while an event is looked at, and owned in a state.
//! Invariant: no value is nested deeper than [`DEPTH_MAX`], so that neither recursion nor MongoDB's
//! own limit (100 levels) can be exceeded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::entity::heap_bytes;
use super::json::{FEW, Text};
use crate::DocumentWriter;

/// How deep a payload may be nested before its reader gives up, the payload's own object included.
pub(super) const DEPTH_MAX: usize = 64;

/// Any JSON value.
#[derive(Debug, Clone)]
pub(super) enum JsonValue<'a> {
    Null,
    Bool(bool),
    Number(f64),
    String(Cow<'a, str>),
    Array(Box<[JsonValue<'a>]>),
    Object(JsonObject<'a>),
}

/// An object: each key once, at its first place with its last value.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonObject<'a>(Box<[(Cow<'a, str>, JsonValue<'a>)]>);

impl JsonValue<'_> {
    fn equals(&self, other: &JsonValue<'_>) -> bool {
        match (self, other) {
            (Self::Null, JsonValue::Null) => true,
            (Self::Bool(left), JsonValue::Bool(right)) => left == right,
            (Self::Number(left), JsonValue::Number(right)) => left == right,
            (Self::String(left), JsonValue::String(right)) => left == right,
            (Self::Array(left), JsonValue::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            (Self::Object(left), JsonValue::Object(right)) => left.equals(right),
            _ => false,
        }
    }

    fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        match self {
            Self::Null => document.null(name),
            Self::Bool(value) => document.bool(name, *value),
            Self::Number(value) => document.f64(name, *value),
            Self::String(value) => document.str(name, value),
            Self::Array(items) => document.array(name, |array| {
                for item in items {
                    array.push(|document, name| item.write(document, name));
                }
            }),
            Self::Object(object) => document.document(name, |inner| {
                for (key, value) in &object.0 {
                    value.write(inner, &escape(key));
                }
            }),
        }
    }

    fn into_owned(self) -> JsonValue<'static> {
        match self {
            Self::Null => JsonValue::Null,
            Self::Bool(value) => JsonValue::Bool(value),
            Self::Number(value) => JsonValue::Number(value),
            Self::String(value) => JsonValue::String(owned(value)),
            Self::Array(items) => JsonValue::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(object) => JsonValue::Object(object.into_owned()),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(value) => heap_bytes(value.len()),
            Self::Array(items) => {
                heap_bytes(size_of_val::<[_]>(items)) + items.iter().map(Self::heap_bytes).sum::<usize>()
            }
            Self::Object(object) => object.heap_bytes(),
        }
    }
}

impl<'a> JsonObject<'a> {
    /// An object of these properties, none of them twice.
    pub(super) fn of<const N: usize>(properties: [(&'static str, f64); N]) -> Self {
        Self(properties.into_iter().map(|(key, value)| (key.into(), JsonValue::Number(value))).collect())
    }

    /// Whether both have the same keys with equal values; the order of keys doesn't count.
    pub(super) fn equals(&self, other: &JsonObject<'_>) -> bool {
        if self.0.len() != other.0.len() {
            return false;
        }
        // Mostly it's the same object in the same order.
        let same = |left: &(Cow<'_, str>, JsonValue<'_>), right: &(Cow<'_, str>, JsonValue<'_>)| {
            left.0 == right.0 && left.1.equals(&right.1)
        };
        let at = self.0.iter().zip(&other.0).take_while(|(left, right)| same(left, right)).count();
        let left = self.0.get(at..).unwrap_or_default();
        let right = other.0.get(at..).unwrap_or_default();
        if left.len() <= FEW {
            return left.iter().all(|left| right.iter().any(|right| same(left, right)));
        }
        let right: HashMap<&str, &JsonValue<'_>> = right.iter().map(|(key, value)| (&**key, value)).collect();
        left.iter().all(|(key, value)| right.get(&**key).is_some_and(|right| value.equals(right)))
    }

    /// Writes the keys as they are; only those of objects further inside are escaped.
    pub(super) fn write_plain(&self, document: &mut DocumentWriter<'_>) {
        for (key, value) in &self.0 {
            value.write(document, key);
        }
    }

    pub(super) fn into_owned(self) -> JsonObject<'static> {
        JsonObject(self.0.into_iter().map(|(key, value)| (owned(key), value.into_owned())).collect())
    }

    /// Memory on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let inside = |(key, value): &(Cow<'_, str>, JsonValue<'_>)| {
            let key = if matches!(key, Cow::Owned(_)) { heap_bytes(key.len()) } else { 0 };
            key + value.heap_bytes()
        };
        heap_bytes(size_of_val::<[_]>(&self.0)) + self.0.iter().map(inside).sum::<usize>()
    }

    fn from_pairs(pairs: Vec<(Cow<'a, str>, JsonValue<'a>)>) -> Self {
        let len = pairs.len();
        let twice = |pairs: &[(Cow<'_, str>, JsonValue<'_>)]| {
            pairs
                .iter()
                .enumerate()
                .any(|(at, (key, _))| pairs.iter().take(at).any(|(other, _)| other == key))
        };
        if len <= FEW && !twice(&pairs) {
            return Self(pairs.into_boxed_slice());
        }
        let mut places: HashMap<Cow<'a, str>, usize> = HashMap::with_capacity(len);
        let mut unique: Vec<(Cow<'a, str>, JsonValue<'a>)> = Vec::with_capacity(len);
        for (key, value) in pairs {
            match places.get(&key).and_then(|at| unique.get_mut(*at)) {
                Some(first) => first.1 = value,
                None => {
                    places.insert(key.clone(), unique.len());
                    unique.push((key, value));
                }
            }
        }
        Self(unique.into_boxed_slice())
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    let mut text = text.into_owned();
    text.shrink_to_fit();
    Cow::Owned(text)
}

/// A key as it is stored: no empty name, no leading dollar, no dot.
fn escape(key: &str) -> Cow<'_, str> {
    let dollar = key.len() > 1 && key.starts_with('$');
    match key {
        "" => Cow::Borrowed("§empty"),
        _ if !dollar && !key.contains('.') => Cow::Borrowed(key),
        _ => {
            let (start, rest) = if dollar { ("§", key.get(1..).unwrap_or_default()) } else { ("", key) };
            Cow::Owned(format!("{start}{}", rest.replace('.', "_§§_")))
        }
    }
}

impl<'de> Deserialize<'de> for JsonObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The payload's own object is the first level, this one the second.
        deserializer.deserialize_map(ObjectReader(Depth(DEPTH_MAX - 1)))
    }
}

/// How many levels are left, the one being read included.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn next<E: Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
    }
}

struct ObjectReader(Depth);

impl<'de> Visitor<'de> for ObjectReader {
    type Value = JsonObject<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inside = self.0.next()?;
        let mut pairs = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            pairs.push((key, map.next_value_seed(inside)?));
        }
        Ok(JsonObject::from_pairs(pairs))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = JsonValue<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = JsonValue<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(JsonValue::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(JsonValue::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(JsonValue::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(JsonValue::Number(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(JsonValue::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(JsonValue::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inside = self.next()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(JsonValue::Array(items.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        ObjectReader(self).visit_map(map).map(JsonValue::Object)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{RawDocument, doc};

    use super::*;
    use crate::Snapshots;

    fn read(json: &str) -> JsonObject<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn written(object: &JsonObject<'_>) -> bson::Document {
        let mut snapshots = Snapshots::new(1);
        let write = |document: &mut DocumentWriter<'_>| document.document("o", |o| object.write_plain(o));
        snapshots.of_stream("k", |sink| sink.put(0, write)).unwrap();
        let bytes = snapshots.targets().first().unwrap().documents().next().unwrap();
        let document = bson::Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap();
        document.get_document("o").unwrap().clone()
    }

    #[test]
    fn keys_are_escaped_in_inner_objects_only() {
        for (key, stored) in [
            ("", "§empty"),
            ("a", "a"),
            ("$", "$"),
            ("$type", "§type"),
            ("$$", "§$"),
            ("a.b.", "a_§§_b_§§_"),
            ("$a.b", "§a_§§_b"),
            ("$.", "§_§§_"),
            ("a$", "a$"),
            ("§", "§"),
        ] {
            assert_eq!(escape(key), stored, "{key}");
        }
        let object = read(r#"{"a.b":1,"$x":{"a.b":{"":null}},"":[{"$y":2}]}"#);
        let expected = doc! {"a.b": 1.0, "$x": {"a_§§_b": {"§empty": null}}, "": [{"§y": 2.0}]};
        assert_eq!(written(&object).to_string(), expected.to_string());
    }

    #[test]
    fn a_key_seen_twice_has_its_first_place_and_its_last_value() {
        let expected = doc! {"a": 3.0, "b": 2.0};
        assert_eq!(written(&read(r#"{"a":1,"b":2,"a":3}"#)).to_string(), expected.to_string());
        let many: Vec<String> = (0..60).map(|at| format!("\"{}\":{at}", at % 20)).collect();
        let written = written(&read(&format!("{{{}}}", many.join(","))));
        let expected: Vec<(String, f64)> = (0..20).map(|at| (at.to_string(), f64::from(at + 40))).collect();
        let found: Vec<(String, f64)> =
            written.iter().map(|(key, value)| (key.clone(), value.as_f64().unwrap())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn equality_looks_at_everything_but_the_order_of_keys() {
        let equal = [
            ("{}", "{}"),
            (r#"{"a":1,"b":{"c":[1,{"d":2,"e":null}]}}"#, r#"{"b":{"c":[1.0,{"e":null,"d":2}]},"a":1e0}"#),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#),
            (r#"{"a":"\u00fc"}"#, r#"{"a":"ü"}"#),
            (r#"{"a":-0}"#, r#"{"a":0}"#),
        ];
        let different = [
            ("{}", r#"{"a":null}"#),
            (r#"{"a":1}"#, r#"{"A":1}"#),
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[1]}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":1}}"#),
            (r#"{"a":false}"#, r#"{"a":null}"#),
            (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        ];
        for (left, right) in equal {
            assert!(read(left).equals(&read(right).into_owned()), "{left} = {right}");
        }
        for (left, right) in different {
            assert!(
                !read(left).equals(&read(right)) && !read(right).equals(&read(left)),
                "{left} <> {right}"
            );
        }
        let object = |keys: &mut dyn Iterator<Item = u32>| {
            let pairs: Vec<String> = keys.map(|key| format!("\"{key}\":{key}")).collect();
            format!("{{{}}}", pairs.join(","))
        };
        let (up, down) = (object(&mut (0..50)), object(&mut (0..50).rev()));
        assert!(read(&up).equals(&read(&down)));
        assert!(!read(&up).equals(&read(&object(&mut (1..51)))));
    }

    #[test]
    fn nesting_ends_where_the_reader_of_payloads_gives_up() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        // Two levels are the payload and the object itself.
        assert!(serde_json::from_str::<JsonObject<'_>>(&nested(DEPTH_MAX - 2)).is_ok());
        assert!(serde_json::from_str::<JsonObject<'_>>(&nested(DEPTH_MAX - 1)).is_err());
        assert!(serde_json::from_str::<JsonObject<'_>>(&nested(100_000)).is_err());
    }

    #[test]
    fn what_no_double_can_hold_is_unreadable() {
        for json in [r#"{"a":1e999}"#, r#"{"a":NaN}"#, r#"{"a":"\ud800"}"#, "[]", "null", "1"] {
            assert!(serde_json::from_str::<JsonObject<'_>>(json).is_err(), "{json}");
        }
    }
}
