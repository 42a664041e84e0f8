//! Fingerprint of the definition that a build is made with: a build is resumed only with the same one.

use statefold_projections::{Layout, Spec};
use xxhash_rust::xxh3::xxh3_128;

/// Hash over the projection's spec (version, streams, targets, indexes), the layout and the version
/// of this package. 32 hexadecimal digits.
#[must_use]
pub(crate) fn fingerprint(spec: &Spec, layout: &Layout) -> String {
    // The debug format of these plain structs has every field; any change of them is meant to change the
    // fingerprint.
    let text = format!("{}\n{spec:?}\n{layout:?}", env!("CARGO_PKG_VERSION"));
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use statefold_projections::{Direction::Ascending, IndexDefinition, Target};

    use super::*;

    #[test]
    fn version_indexes_and_layout_change_it() {
        let layout = Layout::default();
        let spec = Spec::new("A", 1).target(Target::new("A"));
        let same = Spec::new("A", 1).target(Target::new("A"));
        assert_eq!(fingerprint(&spec, &layout), fingerprint(&same, &layout));
        let index = Spec::new("A", 1).target(Target::new("A").index(IndexDefinition::on([("x", Ascending)])));
        let version = Spec::new("A", 2).target(Target::new("A"));
        let other_layout = Layout { collection: "Other".into(), ..Layout::default() };
        let all = [
            fingerprint(&spec, &layout),
            fingerprint(&index, &layout),
            fingerprint(&version, &layout),
            fingerprint(&spec, &other_layout),
        ];
        for (at, print) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != print));
        }
    }
}
