//! The text of a definition file, TOML or JSON, as one tree in which every part knows its line.

use std::borrow::Cow;

use bson::{Bson, Document};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::extended;

/// Form of a definition file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON, in which values may be MongoDB Extended JSON, as `{ "$numberLong": "1" }`. (In TOML, too.)
    Json,
}

/// A part of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Number of its line, from 1 on.
    pub(super) line: usize,
    pub(super) item: Item,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Table(Vec<(String, Node)>),
    Array(Vec<Node>),
    Value(Bson),
}

/// What makes a text no TOML, or no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) what: String,
}

impl Node {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Malformed`] at the first place that isn't well formed.
    pub(super) fn parse(text: &str, format: Format) -> Result<Self, Malformed> {
        let lines = Lines::of(text);
        match format {
            Format::Toml => {
                let table = DeTable::parse(text).map_err(|error| Malformed {
                    line: lines.at(error.span().map_or(0, |span| span.start)),
                    what: error.message().to_owned(),
                })?;
                let line = lines.at(table.span().start);
                lines.table(table.get_ref()).map(|item| Self { line, item })
            }
            Format::Json => {
                let raw: &RawValue = serde_json::from_str(text)
                    .map_err(|error| Malformed { line: error.line(), what: error.to_string() })?;
                lines.json(text, raw)
            }
        }
    }

    /// The value as BSON: whole numbers are of 32 bits if they fit, Extended JSON is what it means.
    ///
    /// # Errors
    /// The line and the reason, if what looks like Extended JSON isn't.
    pub(super) fn bson(&self) -> Result<Bson, (usize, String)> {
        match &self.item {
            Item::Value(value) => Ok(value.clone()),
            Item::Array(items) => items.iter().map(Self::bson).collect::<Result<_, _>>().map(Bson::Array),
            Item::Table(members) => {
                let mut document = Document::new();
                for (name, value) in members {
                    document.insert(name, value.bson()?);
                }
                extended::value(document).map_err(|what| (self.line, what))
            }
        }
    }

    /// The line of a part, by the way that an error of the compiler names it, as `[0].$set.total`.
    pub(super) fn line_of(&self, way: &str) -> usize {
        let rest = way.strip_prefix('.').unwrap_or(way);
        match &self.item {
            Item::Table(members) => {
                let longest = members
                    .iter()
                    .filter(|(name, _)| {
                        rest.strip_prefix(name.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    })
                    .max_by_key(|(name, _)| name.len());
                longest.map_or(self.line, |(name, value)| value.line_of(rest.get(name.len()..).unwrap_or("")))
            }
            Item::Array(items) => {
                let number = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let item =
                    number.and_then(|(number, rest)| Some((items.get(number.parse::<usize>().ok()?)?, rest)));
                item.map_or(self.line, |(item, rest)| item.line_of(rest))
            }
            Item::Value(_) => self.line,
        }
    }

    /// Member of a table.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.item {
            Item::Table(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Every text in it, with its line.
    pub(super) fn texts(&self) -> Vec<(usize, &str)> {
        match &self.item {
            Item::Value(Bson::String(text)) => vec![(self.line, text)],
            Item::Value(_) => Vec::new(),
            Item::Array(items) => items.iter().flat_map(Self::texts).collect(),
            Item::Table(members) => members.iter().flat_map(|(_, value)| value.texts()).collect(),
        }
    }

    /// What kind of thing it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.item {
            Item::Table(_) => "a table",
            Item::Array(_) => "an array",
            Item::Value(Bson::String(_)) => "a text",
            Item::Value(Bson::Boolean(_)) => "true or false",
            Item::Value(Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)) => "a number",
            Item::Value(Bson::DateTime(_)) => "a date",
            Item::Value(_) => "null",
        }
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset) + 1
    }

    fn table(&self, table: &DeTable<'_>) -> Result<Item, Malformed> {
        let mut members = Vec::new();
        for (name, value) in table {
            members.push((name.get_ref().clone().into_owned(), self.toml(value, name.span().start)?));
        }
        Ok(Item::Table(members))
    }

    /// A table of TOML that is written in pieces has no place of its own: it has that of its name.
    fn toml(&self, value: &Spanned<DeValue<'_>>, named_at: usize) -> Result<Node, Malformed> {
        let at = match value.get_ref() {
            DeValue::Table(_) => named_at,
            _ => value.span().start,
        };
        let line = self.at(at);
        let failed = |what: String| Malformed { line, what };
        let item = match value.get_ref() {
            DeValue::String(text) => Item::Value(Bson::String(text.clone().into_owned())),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                let too_large = |_| failed(format!("`{number}` doesn't fit 64 bits"));
                Item::Value(whole(parsed.map_err(too_large)?))
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse();
                Item::Value(Bson::Double(parsed.map_err(|_| failed(format!("`{number}` is no number")))?))
            }
            DeValue::Boolean(value) => Item::Value(Bson::Boolean(*value)),
            DeValue::Datetime(date) => {
                let text = date.to_string();
                let parsed = bson::DateTime::parse_rfc3339_str(&text);
                let reason = |_| failed(format!("`{text}` is no moment: write it as 2024-02-29T12:30:00Z"));
                Item::Value(Bson::DateTime(parsed.map_err(reason)?))
            }
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.toml(item, item.span().start));
                Item::Array(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => self.table(table)?,
        };
        Ok(Node { line, item })
    }

    fn json(&self, text: &str, raw: &RawValue) -> Result<Node, Malformed> {
        let own = raw.get();
        // A raw value is a part of the text that it was read from.
        let line = self.at((own.as_ptr() as usize).saturating_sub(text.as_ptr() as usize));
        let failed = |error: serde_json::Error| Malformed { line, what: error.to_string() };
        let item = match own.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(own).map_err(failed)?;
                let members = members.into_iter();
                let read = members.map(|(name, raw)| Ok((name.into_owned(), self.json(text, raw)?)));
                Item::Table(read.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(own).map_err(failed)?;
                Item::Array(items.into_iter().map(|raw| self.json(text, raw)).collect::<Result<_, _>>()?)
            }
            _ => Item::Value(match serde_json::from_str(own).map_err(failed)? {
                serde_json::Value::Bool(value) => Bson::Boolean(value),
                serde_json::Value::Number(number) => {
                    number.as_i64().map_or_else(|| Bson::Double(number.as_f64().unwrap_or(f64::NAN)), whole)
                }
                serde_json::Value::String(text) => Bson::String(text),
                _ => Bson::Null,
            }),
        };
        Ok(Node { line, item })
    }
}

/// The members of a JSON object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(own, _)| *own == name) {
                        return Err(serde::de::Error::custom(format!("`{name}` is there twice")));
                    }
                    members.push((name.into(), value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A whole number, of 32 bits if it fits.
pub(super) fn whole(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// What a definition is made of, in one form, whatever the file looks like: for its fingerprint.
pub(super) fn canonical(value: &Bson, out: &mut String) {
    match value {
        Bson::Document(members) => {
            out.push('{');
            for (name, value) in members {
                out.push_str(&format!("{name:?}:"));
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Bson::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&format!("{:?} {other}", other.element_type())),
    }
}
