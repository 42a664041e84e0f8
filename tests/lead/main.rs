//! Servers that start together: who leads, who follows, and what happens when one of them dies,
//! stalls, or meets a lock that isn't ours. One scenario a file.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod process;
mod starts;

mod clocks;
mod cut_over_killed;
mod drain_killed;
mod errors_in_claim;
mod failing;
mod follow_killed;
mod followers;
mod holder_killed;
mod holder_stopped;
mod instances;
mod looks_again;
mod newer;
mod renamed_killed;
mod sixteen;
mod stepped_down;
mod terminated;
mod version_path;
mod with_squidex;
