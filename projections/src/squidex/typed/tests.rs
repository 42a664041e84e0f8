//! What is read, and into what.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::squidex::id::EMPTY_ID;

const INNER: &[Member] = &[Member::text("name"), Member::new("size", Kind::Optional(&Kind::Int32))];
const OUTER: &[Member] = &[
    Member::new("list", Kind::List(&Kind::Object(INNER))),
    Member::new("map", Kind::Map(&Kind::Json)),
    Member::new("steps", Kind::GuidMap(&Kind::Int64)),
    Member::new("color", Kind::Enum(&["Red", "Green"])),
    Member::new("id", Kind::Id),
    Member::new("until", Kind::Optional(&Kind::Moment)),
    Member::bool("flag"),
];

struct Outer;

impl Shape for Outer {
    const KIND: &'static Kind = &Kind::Object(OUTER);
}

fn read(json: &str) -> Result<Value, String> {
    serde_json::from_str::<Typed<Outer>>(json).map(|typed| typed.0).map_err(|error| error.to_string())
}

#[test]
fn an_object_has_all_its_members_in_their_order() {
    assert_eq!(read("{}").unwrap().to_string(), empty(OUTER).to_string());
    let stored = r#"{"FLAG":true,"unknown":1e999,"Color":"gReEn","list":[{"SIZE":"7","name":"a"},null],
        "map":{"b":1,"A":{"x":[2]},"b":3},"flag":false,"id":null,"until":"2020-01-01T00:00:00,500Z",
        "steps":{"4827F8CB-ec10-4b38-930A-7c5ac722a12f":5}}"#;
    let expected = json!({
        "list": [{ "name": "a", "size": 7 }, null],
        "map": { "b": 3.0, "A": { "x": [2.0] } },
        "steps": { "4827f8cb-ec10-4b38-930a-7c5ac722a12f": 5 }, "color": "Green",
        "id": EMPTY_ID, "until": "2020-01-01T00:00:00.5Z", "flag": false,
    });
    assert_eq!(read(stored).unwrap().to_string(), expected.to_string());
    assert_eq!(Kind::Object(OUTER).default_value(), Value::Null);
    assert_eq!(Outer::KIND.read(&expected).unwrap(), expected);
}

#[test]
fn an_enum_is_a_name_or_a_number() {
    for (stored, color) in
        [("1", json!("Green")), ("\"0\"", json!("Red")), ("7", json!(7)), ("-1", json!(-1))]
    {
        let read = read(&format!(r#"{{"color":{stored}}}"#)).unwrap();
        assert_eq!(read.get("color").unwrap(), &color);
    }
    assert!(read(r#"{"color":"Blue"}"#).unwrap_err().starts_with("color: "));
}

#[test]
fn a_value_of_another_kind_is_unreadable() {
    for json in [
        "[]",
        "1",
        r#"{"flag":null}"#,
        r#"{"flag":"true"}"#,
        r#"{"color":null}"#,
        r#"{"list":{}}"#,
        r#"{"list":[{"size":1.0}]}"#,
        r#"{"list":[{"size":2147483648}]}"#,
        r#"{"list":[{"name":1}]}"#,
        r#"{"map":[]}"#,
        r#"{"map":{"a":1e999}}"#,
        r#"{"steps":{"a":1}}"#,
        r#"{"until":"2020-01-01"}"#,
        r#"{"id":1}"#,
    ] {
        assert!(read(json).is_err(), "{json}");
    }
    let nested =
        |levels: usize| format!("{{\"map\":{{\"a\":{}{}}}}}", "[".repeat(levels), "]".repeat(levels));
    // The payload's own object, the value and its map take three levels.
    assert!(read(&nested(DEPTH_MAX - 3)).is_ok());
    assert!(read(&nested(DEPTH_MAX - 2)).is_err());
}

#[test]
fn a_member_is_found_in_any_case_and_the_last_counts() {
    let object = json!({ "Name": 1, "other": 2, "NAME": 3 });
    assert_eq!(member(object.as_object().unwrap(), "name"), Some(&json!(3)));
    assert_eq!(member(object.as_object().unwrap(), "names"), None);
}
