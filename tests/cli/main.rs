//! The command line as a user meets it: real programs against a real server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod cleanup;
mod clone_and_switch;
mod cut_short;
mod errors;
mod lag;
mod listen;
mod lock;
mod margin;
mod outcomes;
mod pause;
mod read_only;
mod rebuild;
mod roles;
mod signals;
mod support;
mod verify;
