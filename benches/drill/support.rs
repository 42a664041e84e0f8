//! Support code shared with the tests: commits, and an oracle of their snapshots.

#[path = "../../tests/support/commits.rs"]
pub(crate) mod commits;
#[path = "../../tests/support/json.rs"]
pub(crate) mod json;
#[path = "../../tests/support/oracle.rs"]
pub(crate) mod oracle;
#[path = "../../tests/support/oracle_json.rs"]
pub(crate) mod oracle_json;

/// Documents by their ids.
pub(crate) mod database {
    pub(crate) type Documents = std::collections::BTreeMap<String, bson::Document>;
}
