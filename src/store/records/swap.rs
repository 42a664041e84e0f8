//! Record of the names that a generation takes over.

use bson::Uuid;
use serde::{Deserialize, Serialize};

/// A copy of a collection that is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AsideRecord {
    /// Name of the copy.
    pub name: String,
    /// UUID of the copy; absent while it is made, when nothing had that name before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
}

/// One collection that takes another one's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SwapRecord {
    /// Its name before.
    pub from: String,
    /// The name it takes.
    pub into: String,
    /// Name of the copy of the collection that had that name.
    pub aside: String,
    /// UUID of the collection.
    pub uuid: Uuid,
    /// UUID of the collection that had the name.
    pub former_uuid: Uuid,
    /// Whether it has the name, as far as this process knows.
    #[serde(skip)]
    pub(crate) done: bool,
}
