//! Contents: compared with what Squidex wrote, and their rules one by one.
#![expect(clippy::unwrap_used, reason = "tests")]

mod languages;
mod odd;
mod order;
mod recorded;
mod references;
mod rules;
mod sets;
mod shards;
mod speed;
mod splits;
mod support;
mod wild;
