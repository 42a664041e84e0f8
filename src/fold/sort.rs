//! Sorts many names that begin alike.

/// Bytes of a name that are compared as one number.
const KEY_BYTES: usize = 16;
/// So few names are compared as a whole.
const FEW: usize = 12;

/// The numbers below `count` in the order of their names.
///
/// Names of streams begin alike, so that comparing them as a whole means to read the same bytes again and
/// again, each time from another place in memory. Here the bytes behind what all have in common become a
/// number beside each, these are sorted, and only names whose numbers agree are looked at again.
pub(crate) fn sorted_by_name<'a>(count: u32, name: impl Fn(u32) -> &'a [u8]) -> Vec<u32> {
    let mut keyed: Vec<(u128, u32)> = (0..count).map(|at| (0, at)).collect();
    sort(&mut keyed, 0, &name);
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// Sorts names whose first `depth` bytes agree.
fn sort<'a>(keyed: &mut [(u128, u32)], depth: usize, name: &impl Fn(u32) -> &'a [u8]) {
    let Some((_, first)) = keyed.first() else { return };
    if keyed.len() <= FEW {
        keyed.sort_unstable_by(|left, right| name(left.1).cmp(name(right.1)));
        return;
    }
    let first = name(*first);
    let mut common = first.len();
    for (_, at) in keyed.iter() {
        let (known, other) = (first.get(depth..common), name(*at).get(depth..));
        let pairs = known.unwrap_or_default().iter().zip(other.unwrap_or_default());
        common = depth + pairs.take_while(|(left, right)| left == right).count();
    }
    for (key, at) in keyed.iter_mut() {
        let rest = name(*at).get(common..).unwrap_or_default();
        let mut bytes = [0; KEY_BYTES];
        bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        *key = u128::from_be_bytes(bytes);
    }
    keyed.sort_unstable();
    for equal in keyed.chunk_by_mut(|left, right| left.0 == right.0) {
        // A name that ends within its key is padded with zeros, which another one may have as well.
        if equal.len() > 1 && equal.iter().any(|(_, at)| name(*at).len() < common + KEY_BYTES) {
            equal.sort_unstable_by(|left, right| name(left.1).cmp(name(right.1)));
        } else if equal.len() > 1 {
            sort(equal, common + KEY_BYTES, name);
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: &str = "(a|asset-1{0,30}|asset-2{0,30}\\x00{0,20})[0-2é]{0,3}";

    proptest! {
        #[test]
        fn the_order_is_that_of_the_names(
            names in proptest::collection::vec(NAMES, 0..200),
        ) {
            let count = u32::try_from(names.len()).unwrap_or(0);
            let order = sorted_by_name(count, |at| names[at as usize].as_bytes());
            let sorted: Vec<&String> = order.iter().map(|at| &names[*at as usize]).collect();
            let mut expected: Vec<&String> = names.iter().collect();
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }
}
