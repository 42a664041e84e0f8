//! The definition files that ship: their own tests, and what they share with projections in Rust.

use statefold_projections::declarative::{Definitions, Format, Outcome};

const FILES: [&str; 4] = ["orders.toml", "accounts.toml", "library.toml", "assetfolders.toml"];

pub(crate) fn read(file: &str) -> Definitions {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/projections");
    let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
    Definitions::parse(file, &text, Format::Toml).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_tests_in_the_files_pass() {
    for file in FILES {
        let definitions = read(file);
        let mut count = 0;
        for (projection, test, outcome) in definitions.run_examples() {
            assert_eq!(outcome, Outcome::Right, "{file}, {projection}: {}", test.name);
            count += 1;
        }
        assert!(count > 0, "{file} has no test");
    }
}
