//! The members of a kept object, one by one, for the operations that can't use its bytes as a whole.
//!
//! The bytes come from `value` and `tags`; an invalid element ends the list.

use std::borrow::Cow;
use std::collections::HashMap;

use super::key::{Keys, escape};
use crate::DocumentWriter;
use crate::squidex::json::FEW;

pub(in crate::squidex) const NUMBER: u8 = 0x01;
pub(in crate::squidex) const STRING: u8 = 0x02;
pub(in crate::squidex) const OBJECT: u8 = 0x03;
pub(in crate::squidex) const ARRAY: u8 = 0x04;
pub(in crate::squidex) const BOOL: u8 = 0x08;
pub(in crate::squidex) const NULL: u8 = 0x0A;

/// A member of an object, or an item of an array.
#[derive(Clone, Copy)]
pub(in crate::squidex) struct Member<'a> {
    pub(in crate::squidex) kind: u8,
    pub(in crate::squidex) key: &'a [u8],
    /// The value, including its length prefix, if it has one.
    pub(in crate::squidex) value: &'a [u8],
    /// The whole element.
    pub(in crate::squidex) whole: &'a [u8],
}

impl<'a> Member<'a> {
    /// Its members, if it is an object.
    pub(in crate::squidex) fn object(&self) -> Option<Members<'a>> {
        (self.kind == OBJECT).then(|| Members(inside(self.value)))
    }

    /// Its items, if it is an array.
    pub(in crate::squidex) fn array(&self) -> Option<Members<'a>> {
        (self.kind == ARRAY).then(|| Members(inside(self.value)))
    }

    /// Its text, if it is one.
    pub(in crate::squidex) fn text(&self) -> Option<&'a [u8]> {
        match self.value {
            [_, _, _, _, text @ .., _] if self.kind == STRING => Some(text),
            _ => None,
        }
    }
}

/// The members of an object, or the items of an array.
#[derive(Clone)]
pub(in crate::squidex) struct Members<'a>(pub(in crate::squidex) &'a [u8]);

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let (&kind, behind) = self.0.split_first()?;
        let (key, behind) = behind.split_at_checked(behind.iter().position(|byte| *byte == 0)?)?;
        let behind = behind.get(1..)?;
        let length =
            || behind.first_chunk().and_then(|length| usize::try_from(i32::from_le_bytes(*length)).ok());
        let size = match kind {
            NUMBER => 8,
            BOOL => 1,
            STRING => length()? + 4,
            OBJECT | ARRAY => length()?,
            _ => 0,
        };
        let (value, rest) = behind.split_at_checked(size)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Member { kind, key, value, whole })
    }
}

/// The elements inside an object or an array.
fn inside(value: &[u8]) -> &[u8] {
    match value {
        [_, _, _, _, elements @ .., _] => elements,
        _ => &[],
    }
}

/// Returns true if two objects have the same keys with equal values, in any order.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    let (mut left, mut right) = (Members(left), Members(right));
    // Mostly both have the same keys in the same order: then the first difference decides.
    loop {
        let before = (left.clone(), right.clone());
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(left), Some(right)) if left.key == right.key => {
                if !equal_values(&left, &right) {
                    return false;
                }
            }
            (Some(_), Some(_)) => {
                (left, right) = before;
                break;
            }
            _ => return false,
        }
    }
    let (left, right): (Vec<_>, Vec<_>) = (left.collect(), right.collect());
    if left.len() != right.len() {
        return false;
    }
    let same =
        |(left, right): &(&Member<'_>, &Member<'_>)| left.key == right.key && equal_values(left, right);
    if left.len() <= FEW {
        return left.iter().all(|left| right.iter().any(|right| same(&(left, right))));
    }
    let right: HashMap<&[u8], &Member<'_>> = right.iter().map(|member| (member.key, member)).collect();
    left.iter().all(|left| right.get(left.key).is_some_and(|right| equal_values(left, right)))
}

/// Returns true if two values are equal, whatever the order of keys in them.
pub(in crate::squidex) fn equal_values(left: &Member<'_>, right: &Member<'_>) -> bool {
    match (left.kind, right.kind) {
        (NUMBER, NUMBER) => number(left.value) == number(right.value),
        (OBJECT, OBJECT) => equal(inside(left.value), inside(right.value)),
        (ARRAY, ARRAY) => {
            let (mut left, mut right) = (Members(inside(left.value)), Members(inside(right.value)));
            loop {
                match (left.next(), right.next()) {
                    (None, None) => break true,
                    (Some(left), Some(right)) if equal_values(&left, &right) => {}
                    _ => break false,
                }
            }
        }
        (left_kind, right_kind) => left_kind == right_kind && left.value == right.value,
    }
}

fn number(value: &[u8]) -> f64 {
    value.first_chunk().map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
}

/// Removes duplicate keys from the elements at `first` and after it: each stays where it came first and as
/// it was written there, with its last value.
#[cold]
pub(super) fn make_unique<K: Keys>(elements: &mut Vec<u8>, first: usize) {
    let mut places: HashMap<Cow<'_, [u8]>, usize> = HashMap::new();
    let mut unique: Vec<(&[u8], Member<'_>)> = Vec::new();
    for member in Members(elements.get(first..).unwrap_or_default()) {
        let key = K::folded(member.key);
        match places.get(&key).and_then(|at| unique.get_mut(*at)) {
            Some((_, last)) => *last = member,
            None => {
                places.insert(key, unique.len());
                unique.push((member.key, member));
            }
        }
    }
    let mut kept = Vec::with_capacity(elements.len() - first);
    for (key, last) in unique {
        kept.push(last.kind);
        kept.extend_from_slice(key);
        kept.push(0);
        kept.extend_from_slice(last.value);
    }
    elements.truncate(first);
    elements.extend_from_slice(&kept);
}

/// Writes members one by one, the keys escaped if the object is nested in another one.
pub(super) fn write(elements: &[u8], document: &mut DocumentWriter<'_>, is_inside: bool) {
    for member in Members(elements) {
        // A key with a zero can't be stored; the writer refuses it.
        let key = std::str::from_utf8(member.key).unwrap_or("\0");
        let name = if is_inside { escape(key) } else { Cow::Borrowed(key) };
        write_value(&member, document, &name);
    }
}

fn write_value(member: &Member<'_>, document: &mut DocumentWriter<'_>, name: &str) {
    match member.kind {
        OBJECT => document.document(name, |inner| write(inside(member.value), inner, true)),
        ARRAY => document.array(name, |array| {
            for item in Members(inside(member.value)) {
                array.push(|document, name| write_value(&item, document, name));
            }
        }),
        kind => {
            debug_assert!(matches!(kind, NUMBER | STRING | BOOL | NULL));
            document.bytes(kind, name, member.value);
        }
    }
}
