//! Payload JSON, read like System.Text.Json with Squidex's options: objects and their properties.
//!
//! Property names match in any case. The last of several equal names wins, unknown names are skipped,
//! and absent properties keep their default. A number may be given as a string, but `12.0` is no
//! integer and null is no number. Text without escapes is borrowed from the payload.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::quick::{NotPlain, Plain, Reader};

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

    /// As [`read`](Self::read), from plain JSON.
    fn read_plain(&mut self, number: usize, reader: &mut Reader<'de>) -> Result<(), NotPlain>;

    /// Reads properties from plain JSON as long as they come in the order of their numbers, and returns
    /// true at the end of the object.
    fn read_in_order(&mut self, reader: &mut Reader<'de>) -> Result<bool, NotPlain>;

    /// Reads one property from plain JSON, whichever it is, and returns true at the end of the object.
    #[cold]
    fn read_any(&mut self, reader: &mut Reader<'de>) -> Result<bool, NotPlain> {
        match Self::find(reader.key()?) {
            Some(number) => self.read_plain(number, reader)?,
            None => reader.skip()?,
        }
        reader.more(b'}').map(|more| !more)
    }
}

/// Reads an object with these properties. They usually come in the order of their declaration: then each
/// name is only compared with the expected one, not searched.
///
/// # Errors
/// [`NotPlain`] if it isn't plain JSON of this type.
#[inline]
pub(super) fn plain_object<'de, T: Properties<'de>>(text: &'de str) -> Result<T, NotPlain> {
    let mut reader = Reader::new(text);
    let mut object = T::default();
    let mut ended = !reader.open(b'{', b'}')?;
    while !ended {
        ended = object.read_in_order(&mut reader)? || object.read_any(&mut reader)?;
    }
    reader.end()?;
    Ok(object)
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

            fn read_plain(
                &mut self,
                number: usize,
                reader: &mut $crate::squidex::quick::Reader<'a>,
            ) -> Result<(), $crate::squidex::quick::NotPlain> {
                let mut numbers = 0..;
                $(if numbers.next() == Some(number) {
                    self.$field = $crate::squidex::quick::Plain::read(reader)?;
                    return Ok(());
                })*
                $($(if numbers.next() == Some(number) {
                    <$check as $crate::squidex::quick::Plain>::read(reader)?;
                    return Ok(());
                })*)?
                Ok(())
            }

            #[inline]
            fn read_in_order(
                &mut self,
                reader: &mut $crate::squidex::quick::Reader<'a>,
            ) -> Result<bool, $crate::squidex::quick::NotPlain> {
                $(if reader.take($crate::squidex::json::quoted!($json)) {
                    self.$field = $crate::squidex::quick::Plain::read(reader)?;
                    if !reader.more(b'}')? {
                        return Ok(true);
                    }
                })*
                $($(if reader.take($crate::squidex::json::quoted!($unused)) {
                    <$check as $crate::squidex::quick::Plain>::read(reader)?;
                    if !reader.more(b'}')? {
                        return Ok(true);
                    }
                })*)?
                Ok(false)
            }
        }
    )*};
}
pub(super) use properties;

/// A name as it stands in plain JSON before its value, as an array of bytes.
macro_rules! quoted {
    ($name:literal) => {{
        const TEXT: &str = concat!("\"", $name, "\":");
        const QUOTED: &[u8; TEXT.len()] = match TEXT.as_bytes().first_chunk() {
            Some(bytes) => bytes,
            None => unreachable!(),
        };
        QUOTED
    }};
}
pub(super) use quoted;

/// Text, borrowed from the payload if possible.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
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

impl<'de> Plain<'de> for Text<'de> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        reader.text().map(Self)
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

impl<'de, T: TryFrom<i64>> Plain<'de> for Int<T> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        T::try_from(reader.whole()?).map(Self).map_err(|_| NotPlain)
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

/// Number of entries up to which a linear search is used.
pub(super) const FEW: usize = 16;

#[cfg(test)]
mod tests;
