//! Free-form JSON: its stored form, and equality.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{RawDocument, doc};

use super::key::escape;
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
        assert!(read(left).equals(&read(right)), "{left} = {right}");
    }
    for (left, right) in different {
        assert!(!read(left).equals(&read(right)) && !read(right).equals(&read(left)), "{left} <> {right}");
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
    // The payload and the object itself take two levels.
    assert!(serde_json::from_str::<JsonObject>(&nested(DEPTH_MAX - 2)).is_ok());
    assert!(serde_json::from_str::<JsonObject>(&nested(DEPTH_MAX - 1)).is_err());
    assert!(serde_json::from_str::<JsonObject>(&nested(100_000)).is_err());
}

#[test]
fn what_no_double_can_hold_is_unreadable() {
    for json in [r#"{"a":1e999}"#, r#"{"a":NaN}"#, r#"{"a":"\ud800"}"#, "[]", "null", "1"] {
        assert!(serde_json::from_str::<JsonObject>(json).is_err(), "{json}");
    }
}
