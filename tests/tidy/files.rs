//! The tree of files under test, and how a rule that is broken is shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of each file, by its path from the root.
pub(crate) type Files = BTreeMap<String, String>;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below some folders.
pub(crate) fn rust(folders: &[&str]) -> Files {
    below(folders, &["rs"])
}

/// All files below some folders that have one of these extensions; a folder may also be a file.
pub(crate) fn below(folders: &[&str], extensions: &[&str]) -> Files {
    let mut found = Vec::new();
    for folder in folders {
        let before = found.len();
        walk(&root().join(folder), extensions, &mut found);
        assert!(found.len() > before, "{folder} has no files");
    }
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn walk(path: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), extensions, found);
        }
    } else if path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)) {
        found.push(path.to_owned());
    }
}

/// A made-up tree.
pub(crate) fn made_up(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
}

/// Fails with all that was found against a rule.
pub(crate) fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}
