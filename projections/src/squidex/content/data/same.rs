//! What new data keep of the former ones: Squidex reuses the objects of equal values, so that these stay in
//! their former order. Only orders differ by it, never values.

use std::borrow::Cow;

use super::Partitions;
use crate::squidex::value::find::ByKey;
use crate::squidex::value::key::Ordinal;
use crate::squidex::value::members::{Member, Members, OBJECT, equal_values};

/// New data, with the former field where both are equal, else with the former values of equal partitions.
pub(in crate::squidex::content) fn with_same_fields<'a>(new: &'a [u8], former: &[u8]) -> Cow<'a, [u8]> {
    if former.is_empty() || new == former {
        return Cow::Borrowed(new);
    }
    let mut former = ByKey::<Ordinal>::new(Members(former));
    replaced(new, |field| {
        let former = former.find(field.key).filter(|former| former.whole != field.whole)?;
        let (new, mut kept) = (field.object()?, ByKey::<Partitions>::new(former.object()?));
        if are_equal(new.clone(), &mut kept) {
            return Some(Cow::Borrowed(former.whole));
        }
        let with_same_values = replaced(new.0, |partition| {
            let former = kept.find(partition.key).filter(|former| former.value != partition.value)?;
            equal_values(&former, partition).then(|| {
                let mut element = Vec::with_capacity(partition.whole.len());
                start(&mut element, former.kind, partition.key);
                element.extend_from_slice(former.value);
                Cow::Owned(element)
            })
        });
        match with_same_values {
            Cow::Borrowed(_) => None,
            Cow::Owned(partitions) => Some(Cow::Owned(object(field.key, &partitions))),
        }
    })
}

/// Returns true if two fields have the same partitions with equal values, in any order.
fn are_equal(new: Members<'_>, former: &mut ByKey<'_, Partitions>) -> bool {
    let mut count = 0;
    for partition in new {
        count += 1;
        let is_equal = |former: Member<'_>| equal_values(&former, &partition);
        if !former.find(partition.key).is_some_and(is_equal) {
            return false;
        }
    }
    count == former.len()
}

/// Elements, with those in place of others that `replacement` returns.
fn replaced<'a, 'r>(
    elements: &'a [u8],
    mut replacement: impl FnMut(&Member<'a>) -> Option<Cow<'r, [u8]>>,
) -> Cow<'a, [u8]> {
    let (mut result, mut passed) = (Cow::Borrowed(elements), 0);
    for member in Members(elements) {
        match (replacement(&member), &mut result) {
            (Some(other), Cow::Owned(result)) => result.extend_from_slice(&other),
            (None, Cow::Owned(result)) => result.extend_from_slice(member.whole),
            (Some(other), Cow::Borrowed(_)) => {
                let mut copy = Vec::with_capacity(elements.len());
                copy.extend_from_slice(elements.get(..passed).unwrap_or_default());
                copy.extend_from_slice(&other);
                result = Cow::Owned(copy);
            }
            (None, Cow::Borrowed(_)) => {}
        }
        passed += member.whole.len();
    }
    result
}

fn start(element: &mut Vec<u8>, kind: u8, key: &[u8]) {
    element.push(kind);
    element.extend_from_slice(key);
    element.push(0);
}

/// The element of an object with these members.
fn object(key: &[u8], members: &[u8]) -> Vec<u8> {
    let mut element = Vec::with_capacity(key.len() + members.len() + 7);
    start(&mut element, OBJECT, key);
    let length = i32::try_from(members.len() + 5).unwrap_or(i32::MAX);
    element.extend_from_slice(&length.to_le_bytes());
    element.extend_from_slice(members);
    element.push(0);
    element
}
