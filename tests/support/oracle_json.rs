//! How Squidex reads JSON and writes values, as far as assets need it (SQUIDEX 1.5, 1.6, 2.1).

use bson::{Bson, DateTime, Document, doc};

use super::json::Json;

pub(crate) const EMPTY_ID: &str = "00000000-0000-0000-0000-000000000000";

/// A property, names without case, the last one wins; null counts as missing.
pub(crate) fn get<'a>(payload: &'a Json, name: &str) -> Option<&'a Json> {
    let Json::Object(properties) = payload else { return None };
    let named = properties.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).filter(|value| !matches!(value, Json::Null))
}

pub(crate) fn text(payload: &Json, name: &str) -> Option<String> {
    get(payload, name).map(|value| match value {
        Json::Text(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    })
}

pub(crate) fn whole(payload: &Json, name: &str) -> i64 {
    match get(payload, name) {
        None => 0,
        Some(Json::Number(number)) => number.as_i64().unwrap(),
        Some(Json::Text(text)) => text.parse().unwrap(),
        Some(other) => panic!("{name} is {other:?}"),
    }
}

pub(crate) fn flag(payload: &Json, name: &str) -> Option<bool> {
    get(payload, name).map(|value| matches!(value, Json::Bool(true)))
}

pub(crate) fn id(payload: &Json, name: &str) -> String {
    text(payload, name).unwrap_or_else(|| EMPTY_ID.into())
}

/// `id,name` as its document.
pub(crate) fn app(payload: &Json) -> Option<Document> {
    let named = text(payload, "appId")?;
    let (id, name) = named.split_once(',')?;
    Some(doc! { "_id": id, "Name": name })
}

/// `subject:…` or `client:…`.
pub(crate) fn actor(payload: &Json) -> Option<String> {
    let token = text(payload, "actor")?;
    let token = token.trim_matches([' ', ':']);
    Some(match token.split_once(':') {
        Some(("client" | "subject", _)) => token.to_owned(),
        Some((_, id)) => format!("subject:{id}"),
        None => format!("subject:{token}"),
    })
}

/// First of equal strings, in first-seen order.
pub(crate) fn set(payload: &Json, name: &str) -> Option<Vec<String>> {
    let Json::List(entries) = get(payload, name)? else { panic!("{name} is no list") };
    let mut set = Vec::new();
    for entry in entries {
        let Json::Text(entry) = entry else { panic!("{name} holds {entry:?}") };
        if !set.contains(entry) {
            set.push(entry.clone());
        }
    }
    Some(set)
}

pub(crate) fn asset_type(payload: &Json) -> i32 {
    let names = ["unknown", "image", "audio", "video"];
    match get(payload, "type") {
        None => 0,
        Some(Json::Number(number)) => i32::try_from(number.as_i64().unwrap()).unwrap(),
        Some(Json::Text(name)) => {
            let at = names.iter().position(|known| name.eq_ignore_ascii_case(known)).unwrap();
            i32::try_from(at).unwrap()
        }
        Some(other) => panic!("type is {other:?}"),
    }
}

/// Metadata: top-level names as they are, nested ones escaped.
pub(crate) fn metadata(payload: &Json) -> Option<Document> {
    let Json::Object(metadata) = get(payload, "metadata")? else { panic!("metadata is no object") };
    Some(metadata.iter().map(|(name, value)| (name.clone(), bson(value))).collect())
}

/// Width and height of an event of old that says it is about an image.
pub(crate) fn old_image(payload: &Json) -> (i32, Document) {
    let size = |name| get(payload, name).map(bson);
    match (flag(payload, "isImage"), size("pixelWidth"), size("pixelHeight")) {
        (Some(true), Some(width), Some(height)) => (1, doc! { "pixelWidth": width, "pixelHeight": height }),
        _ => (0, Document::new()),
    }
}

fn bson(value: &Json) -> Bson {
    match value {
        Json::Null => Bson::Null,
        Json::Bool(flag) => Bson::Boolean(*flag),
        Json::Number(number) => Bson::Double(number.as_f64().unwrap()),
        Json::Text(text) => Bson::String(text.clone()),
        Json::List(entries) => Bson::Array(entries.iter().map(bson).collect()),
        Json::Object(entries) => {
            Bson::Document(entries.iter().map(|(name, value)| (escaped(name), bson(value))).collect())
        }
    }
}

fn escaped(name: &str) -> String {
    let name = match name {
        "" => "§empty".to_owned(),
        "$" => "$".to_owned(),
        _ => name.strip_prefix('$').map_or_else(|| name.to_owned(), |rest| format!("§{rest}")),
    };
    name.replace('.', "_§§_")
}

/// Equal, whatever the order of names in objects.
pub(crate) fn same(one: &Bson, other: &Bson) -> bool {
    match (one, other) {
        (Bson::Document(one), Bson::Document(other)) => same_document(one, other),
        (Bson::Array(one), Bson::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

pub(crate) fn same_document(one: &Document, other: &Document) -> bool {
    let equal = |(name, value): (&String, &Bson)| other.get(name).is_some_and(|other| same(value, other));
    one.len() == other.len() && one.iter().all(equal)
}

/// Equal without case: each character by the one it becomes in upper case, where it is one.
pub(crate) fn same_text(one: Option<&str>, other: Option<&str>) -> bool {
    let upper = |letter: char| {
        let mut upper = letter.to_uppercase();
        match letter {
            'ı' | 'ſ' => letter,
            _ if upper.len() == 1 => upper.next().unwrap(),
            _ => letter,
        }
    };
    match (one, other) {
        (Some(one), Some(other)) => one.chars().map(upper).eq(other.chars().map(upper)),
        _ => one.is_none() && other.is_none(),
    }
}

/// Time of an event, in milliseconds; the epoch if it can't be read.
pub(crate) fn time(event: &Document) -> DateTime {
    let text = event.get_document("Metadata").unwrap().get_str("Timestamp").unwrap_or_default();
    let time = Some(text).filter(|text| text.ends_with('Z')).and_then(|text| text.parse().ok());
    DateTime::from_millis(time.map_or(0, |time: jiff::Timestamp| time.as_millisecond()))
}
