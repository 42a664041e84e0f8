//! Schemas and rules: their rules, one test each.
#![expect(clippy::unwrap_used, reason = "tests")]

mod creation;
mod rules;
mod schemas;
mod splits;
mod support;
