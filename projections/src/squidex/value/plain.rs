//! Free-form JSON read by the quick reader.

use super::elements::{self, Elements};
use super::key::{Keys, Ordinal, Seen};
use super::members::{ARRAY, BOOL, NULL, NUMBER, OBJECT, STRING};
use super::{DEPTH_MAX, JsonObject};
use crate::squidex::quick::{NotPlain, Plain, Reader};

impl<'de> Plain<'de> for JsonObject<'_> {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        // The payload's own object is the first level, this object the second.
        elements::build(|elements| members(reader, elements, DEPTH_MAX - 1, false)).map(Self::of_elements)
    }
}

/// Appends the members of an object. `left` is the number of levels left, the object's own included, and
/// `inside` says that it is nested in another one of the same JSON value.
fn members(
    reader: &mut Reader<'_>,
    elements: &mut Elements,
    left: usize,
    inside: bool,
) -> Result<(), NotPlain> {
    let left = left.checked_sub(1).ok_or(NotPlain)?;
    members_of::<Ordinal>(reader, elements, inside, |reader, elements| value(reader, elements, left))
}

/// Appends the members of an object whose values `read` appends; it returns their BSON type.
#[inline]
pub(in crate::squidex) fn members_of<'de, K: Keys>(
    reader: &mut Reader<'de>,
    elements: &mut Elements,
    inside: bool,
    read: impl Fn(&mut Reader<'de>, &mut Elements) -> Result<u8, NotPlain>,
) -> Result<(), NotPlain> {
    if !reader.open(b'{', b'}')? {
        return Ok(());
    }
    let (first, mut seen) = (elements.len(), Seen::<K>::new());
    loop {
        let key = K::kept(reader.key()?);
        seen.add(key);
        let at = elements.len();
        elements.key(NULL, key, inside);
        let kind = read(reader, elements)?;
        elements.set_kind(at, kind);
        if !reader.more(b'}')? {
            break;
        }
    }
    if seen.may_be_twice() {
        elements.make_unique::<K>(first);
    }
    Ok(())
}

/// Appends a value, and returns its BSON type.
pub(in crate::squidex) fn value(
    reader: &mut Reader<'_>,
    elements: &mut Elements,
    left: usize,
) -> Result<u8, NotPlain> {
    match reader.peek()? {
        b'"' => {
            match reader.borrowed()? {
                Some(text) => elements.text(text),
                None => elements.text_of(|out| reader.escaped(out))?,
            }
            Ok(STRING)
        }
        b'0'..=b'9' | b'-' => {
            elements.bytes(&reader.double()?.to_le_bytes());
            Ok(NUMBER)
        }
        b'{' => {
            let start = elements.open();
            members(reader, elements, left, true)?;
            elements.close(start);
            Ok(OBJECT)
        }
        b'[' => {
            let start = elements.open();
            items(reader, elements, left)?;
            elements.close(start);
            Ok(ARRAY)
        }
        _ if reader.take(b"null") => Ok(NULL),
        _ => {
            let flag = bool::read(reader)?;
            elements.bytes(&[u8::from(flag)]);
            Ok(BOOL)
        }
    }
}

/// Appends the items of an array.
fn items(reader: &mut Reader<'_>, elements: &mut Elements, left: usize) -> Result<(), NotPlain> {
    let left = left.checked_sub(1).ok_or(NotPlain)?;
    if !reader.open(b'[', b']')? {
        return Ok(());
    }
    for index in 0_usize.. {
        let at = elements.len();
        elements.item(NULL, index);
        let kind = value(reader, elements, left)?;
        elements.set_kind(at, kind);
        if !reader.more(b']')? {
            break;
        }
    }
    Ok(())
}
