//! The house rules that a compiler doesn't check: sizes, rooms and what each may use, no circles.

#![expect(clippy::unwrap_used, reason = "tests")]

mod circles;
mod crates;
mod files;
mod graph;
mod parse;
mod rooms;
mod sizes;
mod tables;
mod tokens;
mod words;
