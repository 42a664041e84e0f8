//! Identifiers in payloads: domain ids, named ids, GUIDs and references to actors.
//!
//! They borrow from the payload if its text is already in the stored form.

use std::borrow::Cow;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::json::Text;
use super::quick::{NotPlain, Plain, Reader};

/// The empty id as text.
pub(super) const EMPTY_ID: &str = "00000000-0000-0000-0000-000000000000";

/// An id of a domain object; any text. `None` is the empty id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DomainId<'a>(pub(super) Option<Text<'a>>);

impl<'de> Deserialize<'de> for DomainId<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Text<'_>>::deserialize(deserializer)?;
        Ok(Self(text.filter(|text| text.as_str() != EMPTY_ID)))
    }
}

impl<'de> Plain<'de> for DomainId<'de> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        let text = Option::<Text<'_>>::read(reader)?;
        Ok(Self(text.filter(|text| text.as_str() != EMPTY_ID)))
    }
}

/// A domain id that old events store as a GUID: in one format only, converted to lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guid<'a>(pub(super) DomainId<'a>);

impl<'de> Deserialize<'de> for Guid<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Self::of(text)
            .map_err(|text| D::Error::invalid_value(Unexpected::Str(text.as_str()), &"a GUID with dashes"))
    }
}

impl<'de> Plain<'de> for Guid<'de> {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Self::of(Text::read(reader)?).map_err(|_| NotPlain)
    }
}

impl<'a> Guid<'a> {
    /// The GUID of a text; another text is given back.
    fn of(Text(mut text): Text<'a>) -> Result<Self, Text<'a>> {
        if !is_guid(&text) {
            return Err(Text(text));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            text.to_mut().make_ascii_lowercase();
        }
        Ok(Self(DomainId((text != EMPTY_ID).then_some(Text(text)))))
    }
}

/// Whether a text is a GUID, in the only format that Squidex reads.
pub(super) fn is_guid(text: &str) -> bool {
    let dash = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => dash(at),
            _ => !dash(at) && byte.is_ascii_hexdigit(),
        })
}

/// An id with a name, as text: `id,name`. The name may have commas, the id may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedId<'a>(pub(super) Text<'a>);

impl<'de> Deserialize<'de> for NamedId<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Self::of(text).map_err(|text| {
            D::Error::invalid_value(Unexpected::Str(text.as_str()), &"an id and a name, `id,name`")
        })
    }
}

impl<'de> Plain<'de> for NamedId<'de> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Self::of(Text::read(reader)?).map_err(|_| NotPlain)
    }
}

impl<'a> NamedId<'a> {
    /// The named id of a text; another text is given back.
    fn of(text: Text<'a>) -> Result<Self, Text<'a>> {
        match named_id_parts(text.as_str()) {
            ("", _) | (_, "") => Err(text),
            _ => Ok(Self(text)),
        }
    }
}

/// Id and name of a [`NamedId`]'s text.
pub(super) fn named_id_parts(text: &str) -> (&str, &str) {
    text.split_once(',').unwrap_or((text, ""))
}

/// Reference to an actor, in its stored form: `subject:{id}` or `client:{id}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefToken<'a>(pub(super) Text<'a>);

impl DomainId<'_> {
    /// The text, for a state to keep.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(Text::as_bytes)
    }
}

impl<'a> RefToken<'a> {
    /// Reads a token; `None` if it consists of spaces and colons only.
    pub(super) fn parse(Text(text): Text<'a>) -> Option<Self> {
        let printed = match text {
            Cow::Borrowed(text) => print(text),
            Cow::Owned(text) => print(&text).map(|printed| Cow::Owned(printed.into_owned())),
        };
        printed.map(|printed| Self(Text(printed)))
    }
}

fn print(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_matches([' ', ':']);
    match text.split_once(':') {
        _ if text.is_empty() => None,
        Some(("subject" | "client", _)) => Some(Cow::Borrowed(text)),
        Some((kind, id)) if kind.eq_ignore_ascii_case("client") => Some(Cow::Owned(format!("client:{id}"))),
        // An unknown kind is dropped, not kept in the id.
        Some((_, id)) => Some(Cow::Owned(format!("subject:{id}"))),
        None => Some(Cow::Owned(format!("subject:{text}"))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_all_zero_guid_and_null_are_the_empty_id() {
        let empty = format!("\"{EMPTY_ID}\"");
        let read = |json| serde_json::from_str::<DomainId<'_>>(json).unwrap().0;
        assert_eq!(read("null"), None);
        assert_eq!(read(&empty), None);
        assert_eq!(read("\"\"").unwrap().as_str(), "");
        assert_eq!(read("\"a--b\"").unwrap().as_str(), "a--b");
        assert!(serde_json::from_str::<DomainId<'_>>("1").is_err());
    }

    #[test]
    fn a_guid_has_dashes_and_prints_in_lower_case() {
        let read = |text: &str| -> Result<Option<String>, String> {
            let json = format!("\"{text}\"");
            let guid: Guid<'_> = serde_json::from_str(&json).map_err(|error| error.to_string())?;
            Ok(guid.0.0.map(|text| text.as_str().to_owned()))
        };
        assert_eq!(
            read("4827F8CB-ec10-4b38-930A-7c5ac722a12f").unwrap().unwrap(),
            "4827f8cb-ec10-4b38-930a-7c5ac722a12f"
        );
        assert_eq!(read(EMPTY_ID).unwrap(), None);
        for broken in [
            "",
            "4827f8cbec104b38930a7c5ac722a12f",
            "{4827f8cb-ec10-4b38-930a-7c5ac722a12f}",
            "4827f8cb-ec10-4b38-930a-7c5ac722a12g",
            "4827f8cb-ec10-4b38-930a-7c5ac722-12f",
            "4827f8cb-ec10-4b38-930a07c5ac722a12f",
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
        assert!(serde_json::from_str::<Guid<'_>>("null").is_err());
    }

    #[test]
    fn a_named_id_is_split_at_its_first_comma() {
        let read = |json| serde_json::from_str::<NamedId<'_>>(json);
        assert_eq!(named_id_parts(read("\"a,b,c\"").unwrap().0.as_str()), ("a", "b,c"));
        for broken in ["\"\"", "\"a\"", "\"a,\"", "\",b\"", "\",\"", "1", "null"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_ref_token_is_read_leniently_and_printed_strictly() {
        let cases = [
            ("subject:63761585e06d5466c71521b3", "subject:63761585e06d5466c71521b3"),
            ("client:hotels:default", "client:hotels:default"),
            ("Client:a", "client:a"),
            ("SUBJECT:a", "subject:a"),
            (" ::client:a: ", "client:a"),
            ("a", "subject:a"),
            ("user:a", "subject:a"),
            ("user:a:b", "subject:a:b"),
            ("client", "subject:client"),
            ("client:", "subject:client"),
            (":client", "subject:client"),
            ("subject: a", "subject: a"),
        ];
        for (text, printed) in cases {
            let borrowed = RefToken::parse(Text(Cow::Borrowed(text))).unwrap();
            let owned = RefToken::parse(Text(Cow::Owned(text.to_owned()))).unwrap();
            assert_eq!((borrowed.0.as_str(), owned.0.as_str()), (printed, printed), "{text}");
        }
        for nothing in ["", " ", ":", " : : "] {
            assert_eq!(RefToken::parse(Text(Cow::Borrowed(nothing))), None, "{nothing:?}");
        }
    }
}
