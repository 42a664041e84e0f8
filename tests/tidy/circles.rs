//! No circle of files: whoever reads one needn't read what reads it.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{made_up, none, rust};
use crate::graph::{Import, imports};

/// The crates, each as its root file.
const CRATES: [&str; 9] = [
    "src/lib.rs",
    "src/main.rs",
    "projections/src/lib.rs",
    "benches/src/lib.rs",
    "benches/benches/instructions.rs",
    "benches/benches/time.rs",
    "benches/drill/main.rs",
    "benches/end_to_end/main.rs",
    "benches/race/main.rs",
];

/// What each file uses, each with the first import of it.
type Uses<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// The circles among these imports, each with the imports that make it.
pub(crate) fn circles(imports: &[Import]) -> Vec<String> {
    let uses = uses(imports);
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reached(&uses, file))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for file in uses.keys().filter(|file| reaches(file, file)) {
        if !told.contains(file) {
            let circle: Vec<&str> =
                uses.keys().copied().filter(|other| reaches(file, other) && reaches(other, file)).collect();
            found.push(describe(&uses, &circle));
            told.extend(circle);
        }
    }
    found
}

fn uses(imports: &[Import]) -> Uses<'_> {
    let mut uses = Uses::new();
    for import in imports {
        let is_own_tests = is_tests_of(&import.from, &import.to) || is_tests_of(&import.to, &import.from);
        if !import.is_only_shown && !is_own_tests {
            uses.entry(&import.from).or_default().entry(&import.to).or_insert(import);
        }
    }
    uses
}

fn is_tests_of(tests: &str, file: &str) -> bool {
    let folder = tests.strip_suffix("/tests.rs");
    folder
        .is_some_and(|folder| [format!("{folder}.rs"), format!("{folder}/mod.rs")].contains(&file.to_owned()))
}

fn reached<'a>(uses: &Uses<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for used in uses.get(file).into_iter().flat_map(|used| used.keys()) {
            if found.insert(*used) {
                next.push(used);
            }
        }
    }
    found
}

fn describe(uses: &Uses, circle: &[&str]) -> String {
    let within = circle.iter().filter_map(|file| uses.get(file)).flat_map(|used| used.iter());
    let edges = within.filter(|(to, _)| circle.contains(to)).map(|(_, import)| import.describe());
    format!("a circle of {}\n  {}", circle.join(", "), edges.collect::<Vec<_>>().join("\n  "))
}

#[test]
fn no_files_form_a_circle() {
    // What the benches share with the tests lies there.
    let files = rust(&["src", "projections/src", "benches", "tests/support"]);
    let is_root = |file: &&String| {
        file.starts_with("benches/") && (file.ends_with("/main.rs") || file.starts_with("benches/benches/"))
    };
    for file in files.keys().filter(is_root) {
        assert!(CRATES.contains(&file.as_str()), "{file} isn't a crate that tests/tidy/circles.rs knows");
    }
    none(
        &CRATES.iter().flat_map(|root| circles(&imports(&files, root))).collect::<Vec<_>>(),
        "circles of files",
    );
}

#[test]
fn a_circle_is_found_with_its_imports() {
    let files = made_up(&[
        ("src/lib.rs", "mod a; mod b; mod c; pub use a::A;"),
        ("src/a.rs", "use crate::c::C; pub struct A; mod tests { use super::*; }"),
        ("src/b.rs", "fn f() { crate::A; }"),
        ("src/c.rs", "use crate::b; pub struct C;"),
    ]);
    let found = circles(&imports(&files, "src/lib.rs"));
    let expected = [
        "a circle of src/a.rs, src/b.rs, src/c.rs",
        "  src/a.rs:1: crate::c::C (src/c.rs)",
        "  src/b.rs:1: crate::A (src/a.rs)",
        "  src/c.rs:1: crate::b (src/b.rs)",
    ];
    assert_eq!(found, [expected.join("\n")]);
}

#[test]
fn a_parent_may_show_its_children_but_not_use_them_and_be_used_by_them() {
    let child = ("src/a/child.rs", "use super::Parent; pub struct Child;");
    let circles_with = |parent: &str| {
        let files = made_up(&[("src/lib.rs", "mod a;"), ("src/a.rs", parent), child]);
        circles(&imports(&files, "src/lib.rs")).len()
    };
    assert_eq!(circles_with("mod child; pub use child::Child; pub struct Parent;"), 0);
    assert_eq!(circles_with("mod child; pub use child::Child; pub struct Parent(Child);"), 1);
    assert_eq!(circles_with("mod child; use child::Child; pub struct Parent;"), 1);
    assert_eq!(circles_with("mod child; pub struct Parent; fn f() { child::Child; }"), 1);
}

#[test]
fn a_file_and_its_tests_are_no_circle() {
    let files = made_up(&[
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "#[cfg(test)] mod tests; fn f() { tests::help(); }"),
        ("src/a/tests.rs", "use super::*; pub fn help() {}"),
    ]);
    assert!(circles(&imports(&files, "src/lib.rs")).is_empty());
}
