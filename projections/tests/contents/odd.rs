//! Events of contents, stored in other ways that Squidex reads as well: names of types and members in another
//! case, members in another order, unknown ones, the codes of languages in another case, white space. What
//! becomes of them must stay what Squidex wrote.

use bson::{Bson, RawDocumentBuf};
use serde_json::{Map, Value, json};

use crate::recorded::{Others, assert_equal, build, read, read_all, root, streams};

/// Numbers that look random, and are the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn case(&mut self, text: &str) -> String {
        match self.below(4) {
            0 => text.to_uppercase(),
            1 => text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect(),
            _ => text.to_owned(),
        }
    }
}

/// Data with the codes of languages in another case: Squidex has its own case for them, but none for `iv`.
fn odd_data(data: Value, random: &mut Random) -> Value {
    let Value::Object(fields) = data else { return data };
    let odd_field = |(name, field): (String, Value)| match field {
        Value::Object(partitions) => {
            let odd =
                |(key, value): (String, Value)| (if key == "iv" { key } else { random.case(&key) }, value);
            (name, Value::Object(partitions.into_iter().map(odd).collect()))
        }
        field => (name, field),
    };
    Value::Object(fields.into_iter().map(odd_field).collect())
}

fn odd_payload(members: Map<String, Value>, random: &mut Random) -> Value {
    let mut all: Vec<(String, Value)> = Vec::new();
    for (name, value) in members {
        let value = match name.to_lowercase().as_str() {
            "data" | "migrateddata" => odd_data(value, random),
            // In the former form it is any text.
            "change" if value.is_string() => random.case(value.as_str().unwrap()).into(),
            _ => value,
        };
        all.push((random.case(&name), value));
    }
    if random.below(2) == 0 {
        all.insert(random.below(all.len() + 1), ("unknownMember".into(), json!({ "iv": [1, null] })));
    }
    for at in 1..all.len() {
        all.swap(at, random.below(at + 1));
    }
    Value::Object(all.into_iter().collect())
}

fn odd_commit(commit: &RawDocumentBuf, random: &mut Random) -> RawDocumentBuf {
    let mut commit = bson::Document::try_from(commit.as_ref()).unwrap();
    for event in commit.get_array_mut("Events").unwrap() {
        let Bson::Document(event) = event else { panic!("an event is no document") };
        let payload = odd_payload(serde_json::from_str(event.get_str("Payload").unwrap()).unwrap(), random);
        let text = if random.below(3) == 0 { format!("{payload:#}") } else { payload.to_string() };
        event.insert("Payload", text);
        event.insert("Type", random.case(event.get_str("Type").unwrap()));
    }
    RawDocumentBuf::try_from(&commit).unwrap()
}

#[test]
fn contents_are_the_same_however_their_payloads_are_stored() {
    let Some(root) = root() else { return };
    let set = root.join("plain");
    let mut random = Random(1);
    for _ in 0..3 {
        let mut streams = streams(read(&set, "plain.Events2"), "content-");
        for commit in streams.values_mut().flatten() {
            *commit = odd_commit(commit, &mut random);
        }
        let built = build(&streams, &Others::of(&set, "plain"));
        for (built, target) in built.iter().zip(["States_Contents_All3", "States_Contents_Published3"]) {
            let name = format!("plain.{target}");
            assert_equal(built, &read_all(&set, [&name]), &name);
        }
    }
}
