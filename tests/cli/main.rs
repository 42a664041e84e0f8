//! The command line as a user meets it: real programs against a real server.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod shared;

mod adopting;
mod all_of_squidex;
mod artefacts;
mod cleanup;
mod clone_and_switch;
mod consent;
mod cut_short;
mod deploy;
mod errors;
mod exchange;
mod exposition;
mod fixture;
mod health;
mod hints;
mod history;
mod lag;
mod listen;
mod listening;
mod lock;
mod margin;
mod outcomes;
mod pause;
mod pipes;
mod projections;
mod read_only;
mod rebuild;
mod recipe;
mod roles;
mod serve;
mod signals;
mod support;
mod verify;
mod work;
