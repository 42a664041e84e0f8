//! The command line as a user meets it: real programs against a real server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod cleanup;
mod clone_and_switch;
mod cut_short;
mod errors;
mod listen;
mod lock;
mod outcomes;
mod read_only;
mod rebuild;
mod roles;
mod signals;
mod support;
mod verify;
