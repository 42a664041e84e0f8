//! The quick reader of data compared with serde, over plain, unusual and broken texts.

use proptest::prelude::*;

use super::*;
use crate::squidex::quick::{Plain, Reader};

fn quickly(text: &str) -> Option<ContentData<'_>> {
    let mut reader = Reader::new(text);
    let data = ContentData::read(&mut reader).ok()?;
    reader.end().ok().map(|()| data)
}

/// That both read the same, if the quick one reads it at all; returns whether it did.
fn check(text: &str) -> bool {
    let Some(quick) = quickly(text) else { return false };
    let reference: ContentData<'_> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(quick.elements(), reference.elements(), "{text}");
    assert_eq!(quick.has_odd_keys(), reference.has_odd_keys(), "{text}");
    true
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "iv", "IV", "en", "EN", "pt-BR", "PT-br", "xx", "xX", "a", "A", "ä", "Ä", "", "$", "$x", "x.y", "ß",
        "\\u0061", "\\n", "a\\u0000",
    ])
    .prop_map(str::to_owned)
}

fn object(
    value: impl Strategy<Value = String>,
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = String> {
    let space = prop_oneof![9 => Just(""), 1 => prop::sample::select(vec![" ", "\n", "\u{a0}", ","])];
    prop::collection::vec((key(), space, value), count).prop_map(|pairs| {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, space, value)| format!("\"{key}\"{space}:{space}{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    })
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "1",
        "-0",
        "1.5e3",
        "1e999",
        "01",
        "\"a\"",
        "\"\\u00fc\\\\\"",
        "\"\\ud800\"",
        "\"ä😀\"",
        "nul",
        "",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            object(inner, 0..3),
        ]
    })
}

fn data() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        8 => object(value(), 0..4),
        1 => object(Just("1".to_owned()), 10..40),
        1 => Just("null".to_owned()),
        1 => value(),
    ];
    prop_oneof![9 => object(field, 0..5), 1 => value()]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_read_quickly_serde_reads_the_same_way(text in data()) {
        check(&text);
    }
}

#[test]
fn plain_data_are_read_quickly() {
    for text in [
        "{}",
        r#"{"a":null,"b":{},"c":{"iv":1,"en":[{"x":"\u00fc"}],"EN":{}}}"#,
        r#" { "f" : { "PT-br" : null , "x.y" : false } } "#,
    ] {
        assert!(check(text), "{text}");
    }
    for text in ["", "null", "[]", "{\"a\":1}", "{\"a\":[]}", "{\"a\":{}", "{\"a\":{\"iv\":nul}}"] {
        assert!(!check(text), "{text}");
        assert!(serde_json::from_str::<ContentData<'_>>(text).is_err(), "{text}");
    }
}

#[test]
fn nesting_ends_at_the_same_level() {
    let nested = |levels: usize| format!(r#"{{"f":{{"iv":{}{}}}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(check(&nested(LEVELS)));
    assert!(!check(&nested(LEVELS + 1)));
    assert!(serde_json::from_str::<ContentData<'_>>(&nested(LEVELS + 1)).is_err());
    assert!(serde_json::from_str::<ContentData<'_>>(&nested(100_000)).is_err());
}
