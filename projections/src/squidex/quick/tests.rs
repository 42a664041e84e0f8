//! The quick reader compared with `serde_json`, over plain, unusual and broken texts.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Debug;

use proptest::prelude::*;
use serde::Deserialize;

use super::super::id::{DomainId, Guid, NamedId};
use super::super::json::{Int, Object, Text, plain_object, properties};
use super::super::payload::AssetType;
use super::super::tags::Tags;
use super::super::value::JsonObject;
use super::*;

properties! {
    /// A property of each kind.
    struct Sample<'a> {
        "a" => text: Option<Text<'a>>,
        "b" => long: Int<i64>,
        "c" => object: Option<JsonObject<'a>>,
        "d" => set: Option<Tags<'a>>,
        "e" => flag: Option<bool>,
    }
    checked { "f" => Text<'a>, }
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z ä😀]{0,12}".prop_map(|text| format!("\"{text}\"")),
        2 => prop::sample::select(vec![
            r#""\u00fc""#, r#""\ud83d\udcf7""#, r#""\ud800""#, r#""\"\\\/\b\f\n\r\t""#,
            r#""\x""#, "\"\u{1}\"", "\"\u{7f}\"", "\"", "\"\\", "\"\\\"",
            "'a'", "true", "false",
            "null", "nul", "True", "",
        ]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
        2 => prop::sample::select(vec![
            "0", "-0", "00", "01", "-1", "1.", ".5", "1.5", "-0.0", "1e3", "1E-3", "1e999", "1e", "-", "+1",
            "--1", "1-", "0x1", "999999999999999999", "1000000000000000000", "18446744073709551615",
            "18446744073709551616", "\"12\"",
            "\"Image\"", "\"Unknown\"", "\"image\"", "\"a,b\"", "\",b\"", "\"a,\"",
            "\"4827F8CB-ec10-4b38-930A-7c5ac722a12f\"", "\"00000000-0000-0000-0000-000000000000\"",
        ]).prop_map(str::to_owned),
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        8 => Just(""),
        1 => prop::sample::select(vec![" ", "\n", "\t\r", "\u{c}", "\u{a0}", ",", "/**/"]),
    ]
}

fn json() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 20, 4, |inner| {
        let key = prop_oneof![
            8 => "[a-fA-F]".prop_map(|key| format!("\"{key}\"")),
            1 => scalar(),
            1 => Just("\"\\u0061\"".to_owned()),
        ];
        let pair =
            (key, space(), inner.clone()).prop_map(|(key, space, value)| format!("{key}{space}:{value}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..4), space())
                .prop_map(|(items, space)| format!("[{}{space}]", items.join(&format!("{space},")))),
            (prop::collection::vec(pair, 0..4), space())
                .prop_map(|(pairs, space)| format!("{space}{{{space}{}}}{space}", pairs.join(","))),
        ]
    })
}

/// Objects that usually fit the sample.
fn sample() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        "[a-z]{0,9}".prop_map(|text| format!("\"A\":\"{text}\"")),
        any::<i32>().prop_map(|number| format!("\"b\":{number}")),
        json().prop_map(|value| format!("\"c\":{{\"x\":{value}}}")),
        prop::collection::vec(scalar(), 0..3).prop_map(|items| format!("\"d\":[{}]", items.join(","))),
        json().prop_map(|value| format!("\"x\":{value}")),
    ];
    let broken = (any::<prop::sample::Index>(), prop::sample::select(vec!["", "\"", "}", "\\", ",", "1"]));
    (prop::collection::vec(pair, 0..5), prop::option::weighted(0.2, broken)).prop_map(|(pairs, broken)| {
        let mut text = format!("{{{}}}", pairs.join(","));
        if let Some((at, insert)) = broken {
            let (at, _) = text.char_indices().nth(at.index(text.chars().count())).unwrap();
            if insert.is_empty() { text.truncate(at) } else { text.insert_str(at, insert) }
        }
        text
    })
}

/// Reads a whole text.
fn from_str<'a, T: Plain<'a>>(text: &'a str) -> Result<T, NotPlain> {
    let mut reader = Reader::new(text);
    let value = T::read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn check<'a, T: Deserialize<'a> + Plain<'a> + Debug>(text: &'a str) {
    if let Ok(quick) = from_str::<T>(text) {
        let reference = serde_json::from_str::<T>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{quick:?}"), format!("{reference:?}"), "{text}");
    }
}

fn check_all(text: &str) {
    let quick = plain_object::<Sample<'_>>(text);
    if let Ok(quick) = quick {
        let Object(reference) = serde_json::from_str::<Object<Sample<'_>>>(text).unwrap();
        assert_eq!(format!("{quick:?}"), format!("{reference:?}"), "{text}");
    }
    check::<JsonObject<'_>>(text);
    check::<Tags<'_>>(text);
    check::<Text<'_>>(text);
    check::<Option<Text<'_>>>(text);
    check::<Int<i64>>(text);
    check::<Option<bool>>(text);
    check::<AssetType>(text);
    check::<Guid<'_>>(text);
    check::<NamedId<'_>>(text);
    check::<DomainId<'_>>(text);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_read_quickly_serde_json_reads_the_same_way(text in json(), sample in sample()) {
        check_all(&text);
        check_all(&sample);
    }
}

#[test]
fn plain_payloads_are_read_quickly() {
    for text in [
        r#"{"a":"x","b":12,"c":{"y":1.5,"z":[true,null,{"n":-3}]},"d":["t","u"],"e":null,"f":"","g":false}"#,
        " { \"A\" : \"\\u00dc\\\\\" , \"b\" : 7 } ",
        "{}",
    ] {
        assert!(plain_object::<Sample<'_>>(text).is_ok(), "{text}");
    }
    for text in ["", "{", "{}}", "{} x", "{\"a\":\"x\",}", "{,}", "[]", "{\"x\":{}}", "{\"a\":\"\\ud800\"}"] {
        assert!(plain_object::<Sample<'_>>(text).is_err(), "{text}");
    }
}

#[test]
fn special_bytes_are_found_wherever_they_are() {
    let others = [b'!', b' ', 0x7F, 0x80, 0xFF, b'#', b'[', b']', 0xA2, 0xDC];
    for length in 0..40 {
        for found in [b'"', b'\\', 0, 0x1F, b'\n'] {
            for at in 0..length {
                let mut bytes = vec![b'!'; length];
                for (place, byte) in bytes.iter_mut().enumerate() {
                    *byte = *others.get(place % others.len()).unwrap();
                }
                *bytes.get_mut(at).unwrap() = found;
                assert_eq!(special(&bytes, 0), Some(at));
                assert_eq!(special(&bytes, at), Some(at));
            }
        }
    }
}
