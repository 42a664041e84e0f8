//! Apps and teams of every set, byte for byte.

use statefold_projections::Projection;
use statefold_projections::squidex::{Apps, Teams};

use crate::data::{SETS, assert_equal, assert_indexes, directory, values};

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
    for set in SETS {
        assert_indexes(&directory, set, Apps::new().spec());
        assert_indexes(&directory, set, Teams::new().spec());
    }
}
