//! The order of keys: equal values stay as they were before.

use crate::support::{all, created, data, text, with_data};
use serde_json::json;

/// The data after these updates, one after another.
fn updated(updates: &[&str]) -> String {
    let (first, rest) = updates.split_first().unwrap();
    let given = rest.iter().fold(with_data(first), |given, update| {
        given.event_text("ContentUpdatedEvent", &text("data", update))
    });
    data(&all(&given))
}

#[test]
fn a_field_that_is_equal_keeps_its_former_order() {
    let former = r#"{"f":{"de":{"x":1,"y":{"p":2,"q":3}},"en":1},"g":{"iv":1}}"#;
    let new = r#"{"g":{"iv":2},"f":{"en":1.0,"de":{"y":{"q":3,"p":2},"x":1}}}"#;
    let expected = r#"{ "g": { "iv": 2 }, "f": { "de": { "x": 1, "y": { "p": 2, "q": 3 } }, "en": 1 } }"#;
    assert_eq!(updated(&[former, new]), expected);
}

#[test]
fn in_a_field_that_differs_an_equal_partition_keeps_its_former_order() {
    let former = r#"{"f":{"de":{"x":1,"y":2},"en":{"a":1,"b":[{"c":1,"d":2}]}}}"#;
    let new = r#"{"f":{"en":{"b":[{"d":2,"c":1}],"a":1},"de":{"y":2,"x":0}}}"#;
    let expected = r#"{ "f": { "en": { "a": 1, "b": [{ "c": 1, "d": 2 }] }, "de": { "y": 2, "x": 0 } } }"#;
    assert_eq!(updated(&[former, new]), expected);
    // An array in another order is another value.
    let arrays = updated(&[r#"{"f":{"iv":[{"a":1,"b":2},3]}}"#, r#"{"f":{"iv":[3,{"b":2,"a":1}]}}"#]);
    assert_eq!(arrays, r#"{ "f": { "iv": [3, { "b": 2, "a": 1 }] } }"#);
}

#[test]
fn a_field_that_differs_in_number_of_partitions_differs() {
    let former = r#"{"f":{"de":{"x":1,"y":2},"en":1}}"#;
    assert_eq!(
        updated(&[former, r#"{"f":{"de":{"y":2,"x":1}}}"#]),
        r#"{ "f": { "de": { "x": 1, "y": 2 } } }"#
    );
    let more = updated(&[former, r#"{"f":{"fr":null,"en":1,"de":{"y":2,"x":1}}}"#]);
    assert_eq!(more, r#"{ "f": { "fr": null, "en": 1, "de": { "x": 1, "y": 2 } } }"#);
}

#[test]
fn only_the_data_just_before_count() {
    let (first, second) = (r#"{"f":{"iv":{"x":1,"y":2}}}"#, r#"{"f":{"iv":{"y":2,"x":1}}}"#);
    assert_eq!(updated(&[first, r#"{"f":null}"#, second]), r#"{ "f": { "iv": { "y": 2, "x": 1 } } }"#);
    assert_eq!(updated(&[first, "{}", second]), r#"{ "f": { "iv": { "y": 2, "x": 1 } } }"#);
    assert_eq!(updated(&[first, second, second]), r#"{ "f": { "iv": { "x": 1, "y": 2 } } }"#);
    assert_eq!(updated(&[r#"{"f":null}"#, second]), r#"{ "f": { "iv": { "y": 2, "x": 1 } } }"#);
}

#[test]
fn equal_numbers_keep_their_sign() {
    assert_eq!(
        updated(&[r#"{"f":{"iv":-0.0,"de":1}}"#, r#"{"f":{"iv":0,"de":2}}"#]),
        r#"{ "f": { "iv": -0, "de": 2 } }"#
    );
}

#[test]
fn a_draft_keeps_the_order_of_the_current_data_and_they_that_of_the_draft() {
    let (xy, yx) = (r#"{"f":{"iv":{"x":1,"y":2}}}"#, r#"{"f":{"iv":{"y":2,"x":1}}}"#);
    let given = with_data(xy).event_text("ContentDraftCreatedEvent", &text("migratedData", yx));
    assert_eq!(data(&all(&given)), r#"{ "f": { "iv": { "x": 1, "y": 2 } } }"#);
    // A draft that went through other data is compared with the current ones when it is published.
    let given = with_data(xy)
        .event_text("ContentDraftCreatedEvent", &text("migratedData", r#"{"f":null}"#))
        .event_text("ContentUpdatedEvent", &text("data", yx));
    assert_eq!(data(&all(&given)), r#"{ "f": { "iv": { "y": 2, "x": 1 } } }"#);
    let given = given.event_text("ContentStatusChangedEventV2", &text("x", "1"));
    assert_eq!(data(&all(&given)), r#"{ "f": { "iv": { "x": 1, "y": 2 } } }"#);
}

#[test]
fn keys_that_differ_in_case_are_one_partition_and_several_fields() {
    let given = created("Published", json!({}));
    assert_eq!(data(&all(&given)), "{}");
    assert_eq!(
        updated(&[r#"{"f":{"Foo":1,"de":2,"FOO":3,"DE":4},"F":{"iv":1}}"#]),
        r#"{ "f": { "Foo": 3, "de": 4 }, "F": { "iv": 1 } }"#
    );
    // The former field is kept with its keys.
    assert_eq!(updated(&[r#"{"f":{"Foo":1}}"#, r#"{"f":{"FOO":1}}"#]), r#"{ "f": { "Foo": 1 } }"#);
    assert_eq!(
        updated(&[r#"{"f":{"Foo":{"a":1,"b":2},"x":1}}"#, r#"{"f":{"FOO":{"b":2,"a":1}}}"#]),
        r#"{ "f": { "FOO": { "a": 1, "b": 2 } } }"#
    );
    assert_eq!(
        updated(&[r#"{"f":{"PT-br":1,"EN":2,"XX":3}}"#]),
        r#"{ "f": { "pt-BR": 1, "en": 2, "XX": 3 } }"#
    );
}

#[test]
fn many_keys_are_as_good_as_few() {
    let object = |keys: &mut dyn Iterator<Item = u32>| {
        let pairs: Vec<String> = keys.map(|key| format!(r#""k{key}":{{"x{key}":1,"y":2}}"#)).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let swapped = |text: &str| {
        (0..60).fold(text.to_owned(), |text, key| {
            text.replace(&format!(r#"{{"x{key}":1,"y":2}}"#), &format!(r#"{{"y":2,"x{key}":1}}"#))
        })
    };
    let (up, down) = (object(&mut (0..60)), object(&mut (0..60).rev()));
    let field = |partitions: &str| format!(r#"{{"f":{partitions}}}"#);
    assert_eq!(updated(&[&field(&up), &field(&swapped(&down))]), updated(&[&field(&up)]));
    let fewer = object(&mut (0..59).rev());
    assert_eq!(updated(&[&field(&up), &field(&swapped(&fewer))]), updated(&[&field(&fewer)]));
    // Fields instead of partitions.
    assert_eq!(updated(&[&up, &swapped(&down)]), updated(&[&down]));
    let twice = format!("{},\"K7\":1}}", up.trim_end_matches('}').to_owned() + "}");
    let last = updated(&[&field(&twice)]);
    assert!(last.contains(r#""k6": { "x6": 1, "y": 2 }, "k7": 1, "k8""#), "{last}");
}
