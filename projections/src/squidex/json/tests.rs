//! Properties of objects: their names, and numbers, flags and texts as values.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

properties! {
    /// A property of each kind.
    struct Sample<'a> {
        "fileName" => text: Option<Text<'a>>,
        "fileSize" => long: Int<i64>,
        "pixelWidth" => int: Option<Int<i32>>,
        "isProtected" => flag: bool,
    }
    checked { "fromRule" => bool, }
}

fn read(json: &str) -> Result<Sample<'_>, String> {
    serde_json::from_str::<Object<Sample<'_>>>(json).map(|object| object.0).map_err(|error| error.to_string())
}

#[test]
fn names_match_in_any_case_and_the_last_of_several_wins() {
    let sample =
        read(r#"{"FILENAME":"a","fileSIZE":1,"filename":"b","x":[1e999,"\ud800"],"FileSize":"2"}"#).unwrap();
    assert_eq!(sample.text.unwrap().as_str(), "b");
    assert_eq!(sample.long, Int(2));
    assert_eq!(sample.int, None);
    let escaped = read(r#"{"file\u004eame":"\u00fc"}"#).unwrap();
    assert_eq!(escaped.text.unwrap().as_str(), "ü");
    assert_eq!(read(r#"{"fileName":"a","filename":null}"#).unwrap().text, None);
    assert!(read(r#"{"fileSize":null,"fileSize":1}"#).is_err());
}

#[test]
fn integers_are_whole_literals_as_such_or_in_strings() {
    for (json, number) in [
        ("12", 12),
        ("-3", -3),
        ("\"12\"", 12),
        ("\"-3\"", -3),
        ("\"+3\"", 3),
        ("\"007\"", 7),
        ("9223372036854775807", i64::MAX),
        ("\"-9223372036854775808\"", i64::MIN),
    ] {
        assert_eq!(read(&format!(r#"{{"fileSize":{json}}}"#)).unwrap().long, Int(number), "{json}");
    }
    for json in [
        "12.0",
        "1e3",
        "null",
        "true",
        "[]",
        "\"\"",
        "\" 1\"",
        "\"1 \"",
        "\"1.0\"",
        "\"0x1\"",
        "\"-\"",
        "9223372036854775808",
        "\"9223372036854775808\"",
        "1e999",
    ] {
        assert!(read(&format!(r#"{{"fileSize":{json}}}"#)).is_err(), "{json}");
    }
    assert_eq!(read(r#"{"pixelWidth":"2147483647"}"#).unwrap().int, Some(Int(i32::MAX)));
    assert_eq!(read(r#"{"pixelWidth":null}"#).unwrap().int, None);
    assert!(read(r#"{"pixelWidth":2147483648}"#).is_err());
}

#[test]
fn a_flag_is_true_or_false() {
    assert!(read(r#"{"isProtected":true}"#).unwrap().flag);
    for json in ["null", "\"true\"", "1"] {
        assert!(read(&format!(r#"{{"isProtected":{json}}}"#)).is_err(), "{json}");
    }
}

#[test]
fn what_is_not_kept_is_checked_all_the_same() {
    assert!(read(r#"{"fromRule":true}"#).is_ok());
    let error = read("{\n\"FromRule\":null}").unwrap_err();
    assert_eq!(error, "fromRule: invalid type: null, expected a boolean at line 2 column 15");
}

#[test]
fn only_a_whole_object_is_an_object() {
    for json in [
        "",
        "null",
        "[]",
        "1",
        "\"a\"",
        "{",
        "{}}",
        "{} x",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "// a\n{}",
        "\u{feff}{}",
    ] {
        assert!(read(json).is_err(), "{json}");
    }
    assert!(read(" \r\n\t{ } ").is_ok());
}
