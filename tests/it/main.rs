//! Rebuilds against a real server, through the library. One scenario a file.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod arriving;
mod cancelled;
mod dead_letters;
mod empty;
mod generated;
mod generations;
mod golden;
mod locks;
mod same_digest;
