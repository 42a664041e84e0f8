//! Projections over event stores that Squidex filled, against the snapshots that it made of them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod apps_teams;
mod data;
mod odd;
mod schemas_rules;
mod wild;
