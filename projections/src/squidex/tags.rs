//! A set of tags, kept as the elements of the BSON array that is stored: a snapshot copies them unchanged.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::{FEW, Text};
use super::quick::{NotPlain, Plain, Reader};
use super::value::elements::{self, Elements};
use super::value::members::{Members, NULL, STRING};
use crate::DocumentWriter;

/// Distinct texts in the order of the payload. Null is a valid member, as in .NET's sets.
#[derive(Debug, Default)]
pub(super) struct Tags<'a>(Cow<'a, [u8]>);

impl<'a> Tags<'a> {
    /// The tags of a state.
    pub(super) fn kept(elements: Option<&'a [u8]>) -> Self {
        Self(Cow::Borrowed(elements.unwrap_or_default()))
    }

    /// Their elements, for a state to keep.
    pub(super) fn elements(&self) -> &[u8] {
        &self.0
    }

    /// Returns true if both have the same members, in any order.
    pub(super) fn equals(&self, other: &Self) -> bool {
        // Equal sets mostly have the same order.
        if self.0 == other.0 {
            return true;
        }
        let count = self.texts().count();
        if count != other.texts().count() {
            return false;
        }
        if count <= FEW {
            return other.texts().all(|member| self.texts().any(|tag| tag == member));
        }
        let tags: HashSet<Option<&[u8]>> = self.texts().collect();
        other.texts().all(|member| tags.contains(&member))
    }

    pub(super) fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        document.array(name, |array| array.elements(&self.0));
    }

    fn texts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        Members(&self.0).map(|tag| match tag.value {
            [_, _, _, _, text @ .., _] => Some(text),
            _ => None,
        })
    }
}

fn push(elements: &mut Elements, at: usize, tag: Option<&str>) {
    elements.item(if tag.is_some() { STRING } else { NULL }, at);
    if let Some(text) = tag {
        elements.text(text);
    }
}

impl<'de> Plain<'de> for Tags<'_> {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        if !reader.open(b'[', b']')? {
            return Ok(Self::default());
        }
        let read = |elements: &mut Elements| {
            let mut seen: [Option<Option<&str>>; FEW] = [None; FEW];
            let mut count = 0;
            loop {
                let tag = if reader.take(b"null") { None } else { Some(reader.borrowed()?.ok_or(NotPlain)?) };
                if !seen.contains(&Some(tag)) {
                    *seen.get_mut(count).ok_or(NotPlain)? = Some(tag);
                    push(elements, count, tag);
                    count += 1;
                }
                if !reader.more(b']')? {
                    return Ok(());
                }
            }
        };
        elements::build(read).map(|(elements, _)| Self(Cow::Owned(elements)))
    }
}

impl<'de> Deserialize<'de> for Tags<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Tags<'static>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let (mut elements, mut seen) = (Elements::default(), HashSet::new());
                while let Some(tag) = seq.next_element::<Option<Text<'de>>>()? {
                    let at = seen.len();
                    if seen.insert(tag.clone()) {
                        push(&mut elements, at, tag.as_ref().map(Text::as_str));
                    }
                }
                Ok(Tags(Cow::Owned(elements.finish().0)))
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(json: &str) -> Tags<'static> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_set_keeps_the_first_of_equal_texts() {
        let read = |json: &str| -> Vec<Option<String>> {
            read(json).texts().map(|tag| tag.map(|text| String::from_utf8(text.to_vec()).unwrap())).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(r#"["b","a","b","A","a"]"#), [some("b"), some("a"), some("A")]);
        assert_eq!(read(r#"["a",null,null]"#), [some("a"), None]);
        let many: Vec<String> = (0..100).map(|at| (at % 40).to_string()).collect();
        let unique: Vec<Option<String>> = (0..40).map(|at| Some(at.to_string())).collect();
        assert_eq!(read(&serde_json::to_string(&many).unwrap()), unique);
        assert!(serde_json::from_str::<Tags<'_>>("[1]").is_err());
        assert!(serde_json::from_str::<Tags<'_>>("\"a\"").is_err());
    }

    #[test]
    fn sets_are_equal_in_any_order() {
        let many = |from: usize| {
            let tags: Vec<String> = (0..40).map(|at| ((at + from) % 40).to_string()).collect();
            read(&serde_json::to_string(&tags).unwrap())
        };
        assert!(read(r#"["a","b",null]"#).equals(&read(r#"[null,"b","a"]"#)));
        assert!(!read(r#"["a","b"]"#).equals(&read(r#"["a"]"#)));
        assert!(!read(r#"["a","b"]"#).equals(&read(r#"["a","B"]"#)));
        assert!(!read(r#"[""]"#).equals(&read("[null]")));
        assert!(many(0).equals(&many(7)));
    }
}
