//! What the integration tests share: a real server, a database for each test, commits, and an
//! expectation written independently of the engine.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

pub(crate) mod commits;
pub(crate) mod database;
pub(crate) mod follow;
pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod oracle;
pub(crate) mod oracle_json;
pub(crate) mod orders;

pub(crate) mod server;
pub(crate) mod squidex_data;
pub(crate) mod versions;

pub(crate) use commits::commit;
pub(crate) use database::{Db, no_waiting, squidex};
pub(crate) use gate::Gate;
pub(crate) use server::{OwnServer, fail_command};
