//! Rebuilds against a real server, through the library. One scenario a file.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod active;
mod append;
mod arriving;
mod as_data;
mod begin_anew;
mod cancelled;
mod cleanup;
mod cleanup_cut_short;
mod content_database;
mod cut_short;
mod dedicated;
mod deletes_go_on;
mod empty;
mod failed_streams;
mod failover;
mod faults;
mod fences;
mod follow;
mod follow_again;
mod gate;
mod generated;
mod generations;
mod golden;
mod indexes;
mod killed_server;
mod lag;
mod late;
mod live;
mod live_contents;
mod locks;
mod members;
mod orders;
mod phases;
mod proof;
mod purge;
mod read_only;
mod refused;
mod rename;
mod replaceable;
mod requires;
mod retry;
mod roll_back;
mod same_digest;
mod same_head;
mod servers;
mod spill;
mod squidex_sets;
mod strategies;
mod unfenced;
mod verify;
mod what_was_done;
