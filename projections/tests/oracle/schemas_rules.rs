//! Schemas and rules of every set, byte for byte.

use statefold_projections::Projection;
use statefold_projections::squidex::{Rules, Schemas};

use crate::data::{SETS, assert_equal, assert_indexes, directory, values};

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
        assert_indexes(&directory, set, Schemas::new().spec());
        assert_indexes(&directory, set, Rules::new().spec());
    }
}
