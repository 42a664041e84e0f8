//! Events of apps, teams, schemas and rules, stored in other ways that Squidex reads as well: names of types
//! and members in another case, members in another order, unknown ones, numbers as text, names of
//! enumerations in another case, white space. What becomes of them must stay what Squidex wrote.

use bson::{Bson, RawDocumentBuf};
use serde_json::{Map, Value, json};
use statefold_projections::squidex::{Apps, Rules, Schemas, Teams};
use statefold_projections::{Projection, Registered};

use crate::data::{collection, directory, fold, streams};

/// Members whose value is the name of an enumeration's member.
const ENUMS: [&str; 9] = [
    "editor",
    "calculateddefaultvalue",
    "contenttype",
    "normalization",
    "previewmode",
    "expectedtype",
    "method",
    "permission",
    "type",
];

/// Members whose object has keys that are data, as has everything inside of a free-form value.
const KEYS_ARE_DATA: [&str; 4] = ["defaultvalues", "previewurls", "steps", "transitions"];

/// Numbers that look random, and are the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// The same value in another form; that of a member of the name `free` is free-form.
fn odd(value: Value, name: &str, free: &str, random: &mut Random) -> Value {
    let name = name.to_lowercase();
    match value {
        value if name == free => value,
        Value::Number(number) if random.below(2) == 0 => number.to_string().into(),
        Value::String(text) if ENUMS.contains(&name.as_str()) && random.below(2) == 0 => {
            if random.below(2) == 0 { text.to_lowercase().into() } else { text.to_uppercase().into() }
        }
        Value::Array(items) => items.into_iter().map(|item| odd(item, "", free, random)).collect(),
        Value::Object(members) if KEYS_ARE_DATA.contains(&name.as_str()) => {
            members.into_iter().map(|(key, value)| (key, odd(value, "", free, random))).collect()
        }
        Value::Object(members) => odd_object(members, free, random),
        value => value,
    }
}

fn odd_object(members: Map<String, Value>, free: &str, random: &mut Random) -> Value {
    // Their order counts.
    let set_each_other = members.keys().any(|name| name.eq_ignore_ascii_case("schemaIds"));
    let mut all: Vec<(String, Value)> = Vec::new();
    for (name, value) in members {
        let value = odd(value, &name, free, random);
        let name = match random.below(3) {
            _ if name.starts_with('$') || name.ends_with("Type") => name,
            0 => name.to_uppercase(),
            1 => name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect(),
            _ => name,
        };
        all.push((name, value));
    }
    if random.below(2) == 0 {
        all.insert(random.below(all.len() + 1), ("unknownMember".into(), json!({ "a": [1, null] })));
    }
    if !set_each_other {
        for at in 1..all.len() {
            all.swap(at, random.below(at + 1));
        }
    }
    Value::Object(all.into_iter().collect())
}

/// The commit with all names of types and all payloads in another form.
fn odd_commit(commit: &RawDocumentBuf, free: &str, random: &mut Random) -> RawDocumentBuf {
    let mut commit = bson::Document::try_from(commit.as_ref()).unwrap();
    for event in commit.get_array_mut("Events").unwrap() {
        let Bson::Document(event) = event else { panic!("an event is no document") };
        let payload = serde_json::from_str(event.get_str("Payload").unwrap()).unwrap();
        let payload = odd(payload, "", free, random);
        let text = if random.below(3) == 0 { format!("{payload:#}") } else { payload.to_string() };
        event.insert("Payload", text);
        let of_type = event.get_str("Type").unwrap();
        let of_type = if random.below(3) == 0 { of_type.to_uppercase() } else { of_type.to_owned() };
        event.insert("Type", of_type);
    }
    RawDocumentBuf::try_from(&commit).unwrap()
}

/// Checks all streams of a projection whose free-form values are in members of this name.
fn check<P: Projection>(projection: P, free: &str) {
    let Some(directory) = directory() else { return };
    let projection = Registered::new(projection);
    let target = projection.spec().targets().first().unwrap().collection().to_owned();
    let recorded = collection(&directory, "plain", &target);
    let mut random = Random(1);
    let mut count = 0;
    for (stream, commits) in streams(collection(&directory, "plain", "Events2")) {
        let Some(key) = projection.spec().stream_filter().key(&stream) else { continue };
        let recorded = recorded.iter().find(|document| document.get_str("_id").unwrap() == key.id()).unwrap();
        for _ in 0..5 {
            let commits: Vec<_> =
                commits.iter().map(|commit| odd_commit(commit, free, &mut random)).collect();
            let snapshots = fold(&projection, &stream, &commits)
                .unwrap_or_else(|failure| panic!("{stream} doesn't fold: {failure}: {commits:?}"));
            let built = snapshots.targets().first().unwrap().documents().next().unwrap().to_vec();
            let built = RawDocumentBuf::from_bytes(built).unwrap();
            if built != *recorded {
                let text = |raw: &RawDocumentBuf| bson::Document::try_from(raw.as_ref()).unwrap().to_string();
                assert_eq!(text(&built), text(recorded), "{stream}");
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn apps_are_the_same_however_their_payloads_are_stored() {
    check(Apps::new(), "properties");
}

#[test]
fn teams_are_the_same_however_their_payloads_are_stored() {
    check(Teams::new(), "value");
}

#[test]
fn schemas_are_the_same_however_their_payloads_are_stored() {
    check(Schemas::new(), "value");
}

#[test]
fn rules_are_the_same_however_their_payloads_are_stored() {
    check(Rules::new(), "value");
}
