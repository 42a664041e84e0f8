//! JSON text, byte for byte as System.Text.Json writes it with its default encoder: no spaces, every
//! character outside of ASCII and every one that HTML gives a meaning as `\uXXXX`.

use std::fmt::Write;

use serde_json::{Number, Value};

/// The text of a value.
pub(super) fn of(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => number(out, value),
        Value::String(value) => quoted(out, value),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at);
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                separate(out, at);
                quoted(out, key);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
    }
}

fn separate(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '"' | '&' | '\'' | '+' | '<' | '>' | '`' => escape(out, char),
            ' '..='~' => out.push(char),
            _ => escape(out, char),
        }
    }
    out.push('"');
}

fn escape(out: &mut String, char: char) {
    for unit in char.encode_utf16(&mut [0; 2]) {
        // Writing to a string can't fail.
        let _ = write!(out, "\\u{unit:04X}");
    }
}

fn number(out: &mut String, number: &Number) {
    match (number.as_f64(), number.is_f64()) {
        (Some(value), true) => double(out, value),
        _ => out.push_str(&number.to_string()),
    }
}

/// A double, as .NET prints it: the shortest digits that give the same number, with an exponent where
/// there are more than 17 digits before the point, or four zeros after it.
fn double(out: &mut String, value: f64) {
    const DIGITS_WITHOUT_EXPONENT: i32 = 17;
    // `{:e}` has the shortest digits, too: `-1.25e-7`.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Writing to a string can't fail.
    let _ = if (-4..DIGITS_WITHOUT_EXPONENT).contains(&exponent) {
        write!(out, "{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}E{sign}{:02}", exponent.unsigned_abs())
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_as_dotnet_prints_them() {
        for (value, text) in [
            (json!(0), "0"),
            (json!(i64::MAX), "9223372036854775807"),
            (json!(5.0), "5"),
            (json!(-0.0), "-0"),
            (json!(0.1), "0.1"),
            (json!(-1.25), "-1.25"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1E-05"),
            (json!(1.5e-7), "1.5E-07"),
            (json!(1e14), "100000000000000"),
            (json!(1e16), "10000000000000000"),
            (json!(1e17), "1E+17"),
            (json!(9007199254740992.0), "9007199254740992"),
            (json!(123456789012345680.0), "1.2345678901234568E+17"),
            (json!(1.7976931348623157e308), "1.7976931348623157E+308"),
            (json!(5e-324), "5E-324"),
        ] {
            assert_eq!(of(&value), text);
        }
    }

    #[test]
    fn everything_but_harmless_ascii_is_escaped() {
        let text = "a/b {}[]~\"&'+<>`\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é\u{2028}漢😀";
        let escaped = concat!(
            r#""a/b {}[]~\u0022\u0026\u0027\u002B\u003C\u003E\u0060\\\n\r\t\b\f\u0001\u007F"#,
            r#"\u00E9\u2028\u6F22\uD83D\uDE00""#
        );
        assert_eq!(of(&json!(text)), escaped);
        assert_eq!(of(&json!({ "ü": [] , "": {}})), r#"{"\u00FC":[],"":{}}"#);
    }
}
