//! A running server of the application, as listings show it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A running server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstanceRow {
    /// Its id, new with each start.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// Version of its statefold.
    pub version: String,
    /// The projections it knows, each with the versions it can read.
    pub reads: BTreeMap<String, Vec<u32>>,
    /// Whether it was told not to write events.
    pub read_only: bool,
    /// The time it started, in RFC 3339.
    pub started: Option<String>,
    /// Seconds since its last heartbeat, by the server's clock.
    pub heartbeat_seconds: f64,
}
