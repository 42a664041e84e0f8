//! Fingerprint of the definition that a build is made with: a build is resumed only with the same one.

use serde_json::{Value, json};
use statefold_projections::{Direction, Layout, OffsetMeaning, Spec};
use xxhash_rust::xxh3::xxh3_128;

/// Hash over the shape of a projection (version, streams, targets, indexes, what it requires, settings) and
/// the layout of the event store, in an encoding that doesn't depend on the version of this program: JSON
/// with its fields in one order. 32 hexadecimal digits.
#[must_use]
pub(crate) fn fingerprint(spec: &Spec, layout: &Layout) -> String {
    hash(&shape(spec, layout).to_string())
}

/// Whether a recorded fingerprint is of this definition: as [`fingerprint`] gives it, or as older versions
/// of this program did.
#[must_use]
pub(crate) fn is_fingerprint_of(recorded: &str, spec: &Spec, layout: &Layout) -> bool {
    recorded == fingerprint(spec, layout) || recorded == hash(&format!("0.1.0\n{spec:?}\n{layout:?}"))
}

fn hash(text: &str) -> String {
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn shape(spec: &Spec, layout: &Layout) -> Value {
    let filter = spec.stream_filter();
    let targets = spec.targets().iter().map(|target| {
        let indexes = target.indexes().iter().map(|index| {
            let keys = index.keys().iter().map(|(field, direction)| {
                let direction = match direction {
                    Direction::Ascending => 1,
                    Direction::Descending => -1,
                };
                json!([field, direction])
            });
            json!({ "keys": keys.collect::<Vec<_>>(), "unique": index.is_unique() })
        });
        let mut described =
            json!({ "collection": target.collection(), "indexes": indexes.collect::<Vec<_>>() });
        // Builds were recorded before there were others.
        if let (Some(described), Some(database)) = (described.as_object_mut(), target.database()) {
            described.insert("database".into(), database.into());
        }
        described
    });
    let offset_meaning = match layout.offset_meaning {
        OffsetMeaning::BeforeCommit => "before_commit",
        OffsetMeaning::FirstEvent => "first_event",
    };
    let mut shape = json!({
        "name": spec.name(), "version": spec.version(), "requires": spec.required(),
        "streams": { "prefix": filter.first(), "without_suffix": filter.suffix_left_out() },
        "targets": targets.collect::<Vec<_>>(),
        "layout": {
            "collection": layout.collection, "stream": layout.stream, "offset": layout.offset,
            "offset_meaning": offset_meaning, "count": layout.count, "events": layout.events,
            "event_type": layout.event_type, "payload": layout.payload, "metadata": layout.metadata,
        },
    });
    // Builds were recorded before there were such settings.
    if let (Some(shape), false) = (shape.as_object_mut(), spec.settings().is_empty()) {
        shape.insert("settings".into(), spec.settings().into());
    }
    shape
}

#[cfg(test)]
mod tests {
    use statefold_projections::{Direction::Ascending, IndexDefinition, Target};

    use super::*;

    #[test]
    fn it_stays_the_same_from_one_version_of_this_program_to_the_next() {
        let index = IndexDefinition::on([("x", Ascending)]).unique();
        let spec = Spec::new("A", 1).requires("B").target(Target::new("States_A").index(index));
        let layout = Layout::default();
        // Builds in databases have it: it may never change.
        assert_eq!(fingerprint(&spec, &layout), "2569431a380d7d7ae6b61a798f34dd03");
        let old = hash(&format!("0.1.0\n{spec:?}\n{layout:?}"));
        assert!(is_fingerprint_of(&old, &spec, &layout));
        assert!(is_fingerprint_of(&fingerprint(&spec, &layout), &spec, &layout));
        assert!(!is_fingerprint_of(&old, &Spec::new("A", 2), &layout));
    }

    #[test]
    fn version_indexes_and_layout_change_it() {
        let layout = Layout::default();
        let spec = Spec::new("A", 1).target(Target::new("A"));
        let same = Spec::new("A", 1).target(Target::new("A"));
        assert_eq!(fingerprint(&spec, &layout), fingerprint(&same, &layout));
        let index = Spec::new("A", 1).target(Target::new("A").index(IndexDefinition::on([("x", Ascending)])));
        let version = Spec::new("A", 2).target(Target::new("A"));
        let settings = Spec::new("A", 1).variant("values=string").target(Target::new("A"));
        let other_layout = Layout { collection: "Other".into(), ..Layout::default() };
        let all = [
            fingerprint(&spec, &layout),
            fingerprint(&index, &layout),
            fingerprint(&version, &layout),
            fingerprint(&settings, &layout),
            fingerprint(&spec, &other_layout),
        ];
        for (at, print) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != print));
        }
    }
}
