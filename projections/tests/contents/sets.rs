//! Every document of every set is the one that Squidex wrote.

use std::path::Path;

use crate::recorded::{
    Documents, Others, assert_equal, build, indexes, names, read, read_all, root, streams,
};

const TARGETS: [&str; 2] = ["States_Contents_All3", "States_Contents_Published3"];

/// Builds a set and compares both targets, each with the union of its shards.
fn check(name: &str) {
    let Some(root) = root() else { return };
    let set = root.join(name);
    let events = read(&set, &format!("{name}.Events2"));
    let built = build(&streams(events, "content-"), &Others::of(&set, name));
    let files = names(&set);
    for (built, target) in built.iter().zip(TARGETS) {
        let prefix = format!("{name}.{target}");
        let recorded = read_all(&set, files.iter().filter(|file| file.starts_with(&prefix)));
        assert!(recorded.len() > 20, "{} documents", recorded.len());
        assert_equal(built, &recorded, &prefix);
        check_indexes(&set, &prefix);
    }
    if name == "dedicated" {
        check_dedicated(&set, &built);
    }
}

/// One database an app has the same documents again, one collection a schema.
fn check_dedicated(set: &Path, built: &[Documents; 2]) {
    for (built, target) in built.iter().zip(TARGETS) {
        let infix = format!(".{target}_");
        let (mut dedicated, mut count) = (Documents::new(), 0);
        for file in names(set).into_iter().filter(|file| file.contains(&infix)) {
            let (database, schema) = file.split_once(&infix).unwrap();
            let app = database.strip_prefix("dedicated_").unwrap();
            let documents = read_all(set, [&file]);
            for document in documents.values() {
                assert_eq!(document.get_str("_ai").unwrap(), app);
                assert_eq!(document.get_str("_si").unwrap(), schema.replace("%20", " "));
            }
            count += documents.len();
            dedicated.extend(documents);
        }
        assert_eq!(count, dedicated.len());
        assert_equal(built, &dedicated, target);
    }
}

fn check_indexes(set: &Path, collection: &str) {
    let text = std::fs::read_to_string(set.join("indexes.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let collections = all.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(collection));
    let mut count = 0;
    for (name, recorded) in collections {
        count += 1;
        let recorded: Vec<String> = recorded
            .as_array()
            .unwrap()
            .iter()
            .map(|index| index.get("name").unwrap().as_str().unwrap().to_owned())
            .filter(|name| name != "_id_")
            .collect();
        // A name has all keys with their directions, in order.
        let declared: Vec<String> = indexes().into_iter().map(|(name, _)| name).collect();
        assert_eq!(recorded, declared, "{name}");
    }
    assert!(count > 0, "no indexes of {collection}");
}

#[test]
fn plain() {
    check("plain");
}

#[test]
fn sharded() {
    check("sharded");
}

#[test]
fn dedicated() {
    check("dedicated");
}

#[test]
fn asstring() {
    check("asstring");
}

#[test]
fn asbinary() {
    check("asbinary");
}
