//! Apps and teams of every set, byte for byte.

use statefold_projections::Projection;
use statefold_projections::squidex::{Apps, Teams, ValueRepresentation};

use crate::data::{SETS, assert_equal, directory};

fn values(set: &str) -> ValueRepresentation {
    match set {
        "asstring" => ValueRepresentation::Text,
        "asbinary" => ValueRepresentation::Binary,
        _ => ValueRepresentation::Document,
    }
}

#[test]
fn apps_are_what_squidex_wrote() {
    let Some(directory) = directory() else { return };
    for set in SETS {
        let count = assert_equal(&directory, set, Apps::with_values(values(set)), "States_Apps");
        println!("{set}: {count} apps are equal");
    }
}

#[test]
fn teams_are_what_squidex_wrote() {
    let Some(directory) = directory() else { return };
    for set in SETS {
        let count = assert_equal(&directory, set, Teams::with_values(values(set)), "States_Teams");
        println!("{set}: {count} teams are equal");
    }
}

#[test]
fn the_indexes_are_those_of_squidex() {
    let Some(directory) = directory() else { return };
    let apps = Apps::new();
    let teams = Teams::new();
    for set in SETS {
        let text = std::fs::read_to_string(directory.join(set).join("indexes.json")).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        for spec in [apps.spec(), teams.spec()] {
            let target = spec.targets().first().unwrap();
            let expected: Vec<&str> = all
                .get(format!("{set}.{}", target.collection()))
                .and_then(|indexes| indexes.as_array())
                .unwrap()
                .iter()
                .map(|index| index.get("name").unwrap().as_str().unwrap())
                .filter(|name| *name != "_id_")
                .collect();
            let found: Vec<String> = target.indexes().iter().map(|index| index.name()).collect();
            assert_eq!(found, expected, "{set}");
        }
    }
}
