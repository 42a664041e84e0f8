//! The rules of Squidex's aggregates, as given events and the snapshot that follows.
#![expect(clippy::unwrap_used, reason = "tests")]

mod apps;
mod apps_legacy;
mod assets;
mod folders;
mod legacy;
mod payloads;
mod splits;
mod support;
mod teams;
