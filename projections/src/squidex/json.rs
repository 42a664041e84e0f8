//! Payload JSON, read like System.Text.Json with Squidex's options: objects and their properties.
//!
//! Property names match in any case. The last of several equal names wins, unknown names are skipped,
//! and absent properties keep their default. A number may be given as a string, but `12.0` is no
//! integer and null is no number. Text without escapes is borrowed from the payload.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Properties of an object, read one after another into their defaults.
pub(super) trait Properties<'de>: Default {
    /// Number of properties.
    const COUNT: usize;

    /// Name of the property with this number, in the order in which payloads usually have them; `None`
    /// after the last one.
    fn name(number: usize) -> Option<&'static str>;

    /// Number of the property with this name, in any case.
    fn find(name: &str) -> Option<usize> {
        let is = |number: &usize| Self::name(*number).is_some_and(|known| known.eq_ignore_ascii_case(name));
        (0..Self::COUNT).find(is)
    }

    /// Reads the value of the property with this number.
    fn read<A: MapAccess<'de>>(&mut self, number: usize, values: &mut A) -> Result<(), A::Error>;
}

/// An object with these properties.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Properties<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Properties<'de>> Visitor<'de> for Reader<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
                let mut properties = T::default();
                while let Some(name) = map.next_key::<Text<'_>>()? {
                    match T::find(name.as_str()) {
                        Some(number) => properties.read(number, &mut map)?,
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(properties)
            }
        }

        deserializer.deserialize_map(Reader(PhantomData)).map(Self)
    }
}

/// The next value of an object; an error names the property.
pub(super) fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    name: &'static str,
    values: &mut A,
) -> Result<T, A::Error> {
    values.next_value().map_err(|error| A::Error::custom(format_args!("{name}: {error}")))
}

/// Declares structs of JSON properties: `"name" => field: Type`. Properties listed after `checked` are
/// read to detect a wrong type, but not kept.
macro_rules! properties {
    ($(
        $(#[$meta:meta])*
        struct $name:ident<'a> { $($(#[$of:meta])* $json:literal => $field:ident: $type:ty,)* }
        $(checked { $($unused:literal => $check:ty,)* })?
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> {
            $($(#[$of])* pub(super) $field: $type,)*
            // Structs that borrow nothing have the lifetime, too.
            pub(super) lifetime: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $crate::squidex::json::Properties<'a> for $name<'a> {
            const COUNT: usize = [$($json,)* $($($unused,)*)?].len();

            #[inline]
            fn name(number: usize) -> Option<&'static str> {
                const NAMES: &[&str] = &[$($json,)* $($($unused,)*)?];
                NAMES.get(number).copied()
            }

            #[inline]
            fn read<A: serde::de::MapAccess<'a>>(
                &mut self,
                number: usize,
                values: &mut A,
            ) -> Result<(), A::Error> {
                // Compiled into a jump table.
                let mut numbers = 0..;
                $(if numbers.next() == Some(number) {
                    self.$field = $crate::squidex::json::value($json, values)?;
                    return Ok(());
                })*
                $($(if numbers.next() == Some(number) {
                    $crate::squidex::json::value::<$check, A>($unused, values)?;
                    return Ok(());
                })*)?
                Ok(())
            }
        }
    )*};
}
pub(super) use properties;

/// Text, borrowed from the payload if possible.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A whole number, given as a number or as a string.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Int<T>(pub(super) T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Int<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(IntReader { expected: "an integer", name: |_| None })?;
        let out_of_range = || D::Error::invalid_value(Unexpected::Signed(number), &"a smaller integer");
        T::try_from(number).map(Self).map_err(|_| out_of_range())
    }
}

/// Reads integers, also from strings, and the names of an enum's members.
pub(super) struct IntReader {
    pub(super) expected: &'static str,
    pub(super) name: fn(&str) -> Option<i64>,
}

impl Visitor<'_> for IntReader {
    type Value = i64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        (self.name)(text)
            .or_else(|| text.parse().ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A set of texts in the order of the payload, duplicates dropped. Null is a valid member, as in
/// .NET's sets.
#[derive(Debug, Default)]
pub(super) struct Set<'a>(pub(super) Vec<Option<Text<'a>>>);

impl<'de> Deserialize<'de> for Set<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Set<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items: Vec<Option<Text<'de>>> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some(item) = seq.next_element::<Option<Text<'de>>>()? {
                    // A few items are compared faster than hashed; for many, comparing is quadratic.
                    let new = if items.len() < FEW {
                        !items.contains(&item)
                    } else {
                        if seen.is_empty() {
                            seen.extend(items.iter().cloned());
                        }
                        seen.insert(item.clone())
                    };
                    if new {
                        items.push(item);
                    }
                }
                Ok(Set(items))
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

/// Number of entries up to which a linear search is used.
pub(super) const FEW: usize = 16;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
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
        serde_json::from_str::<Object<Sample<'_>>>(json)
            .map(|object| object.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_match_in_any_case_and_the_last_of_several_wins() {
        let sample =
            read(r#"{"FILENAME":"a","fileSIZE":1,"filename":"b","x":[1e999,"\ud800"],"FileSize":"2"}"#)
                .unwrap();
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

    #[test]
    fn a_set_keeps_the_first_of_equal_texts() {
        let read = |json: &str| -> Vec<Option<String>> {
            let set: Set<'_> = serde_json::from_str(json).unwrap();
            set.0.iter().map(|item| item.as_ref().map(|text| text.as_str().to_owned())).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(r#"["b","a","b","A","a"]"#), [some("b"), some("a"), some("A")]);
        assert_eq!(read(r#"["a",null,null]"#), [some("a"), None]);
        let many: Vec<String> = (0..100).map(|at| (at % 40).to_string()).collect();
        let unique: Vec<Option<String>> = (0..40).map(|at| Some(at.to_string())).collect();
        assert_eq!(read(&serde_json::to_string(&many).unwrap()), unique);
        assert!(serde_json::from_str::<Set<'_>>("[1]").is_err());
        assert!(serde_json::from_str::<Set<'_>>("\"a\"").is_err());
    }
}
