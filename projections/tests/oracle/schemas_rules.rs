//! Schemas and rules of every set, byte for byte.

use statefold_projections::squidex::{Rules, Schemas, ValueRepresentation};
use statefold_projections::{Projection, Spec};

use crate::data::{SETS, assert_equal, directory};

fn values(set: &str) -> ValueRepresentation {
    match set {
        "asstring" => ValueRepresentation::Text,
        "asbinary" => ValueRepresentation::Binary,
        _ => ValueRepresentation::Document,
    }
}

#[test]
fn schemas_are_what_squidex_wrote() {
    let Some(directory) = directory() else { return };
    for set in SETS {
        let count = assert_equal(&directory, set, Schemas::with_values(values(set)), "States_Schemas");
        println!("{set}: {count} schemas are equal");
    }
}

#[test]
fn rules_are_what_squidex_wrote() {
    let Some(directory) = directory() else { return };
    for set in SETS {
        let count = assert_equal(&directory, set, Rules::with_values(values(set)), "States_Rules");
        println!("{set}: {count} rules are equal");
    }
}

#[test]
fn the_indexes_are_those_of_squidex() {
    let Some(directory) = directory() else { return };
    for set in SETS {
        let text = std::fs::read_to_string(directory.join(set).join("indexes.json")).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_indexes(set, &all, Schemas::new().spec());
        assert_indexes(set, &all, Rules::new().spec());
    }
}

/// Asserts that Squidex made the indexes of a spec: the name of one has its fields and their directions.
fn assert_indexes(set: &str, all: &serde_json::Value, spec: &Spec) {
    let target = spec.targets().first().unwrap();
    let recorded = all.get(format!("{set}.{}", target.collection())).unwrap().as_array().unwrap();
    let recorded: Vec<&str> =
        recorded.iter().map(|index| index.get("name").unwrap().as_str().unwrap()).collect();
    let declared = target.indexes().iter().map(|index| index.name());
    assert_eq!(recorded, ["_id_".to_owned()].into_iter().chain(declared).collect::<Vec<_>>(), "{set}");
}
