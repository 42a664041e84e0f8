//! Names that a generation takes over, as they are recorded.

use bson::Uuid;
use serde::{Deserialize, Serialize};

/// One collection that takes another one's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SwapRecord {
    /// Where it is before.
    pub from: String,
    /// The name it takes.
    pub into: String,
    /// Where a copy is of what had that name.
    pub aside: String,
    /// UUID of the collection.
    pub uuid: Uuid,
    /// UUID of what had the name.
    pub former_uuid: Uuid,
    /// Whether it has the name, as this process knows.
    #[serde(skip)]
    pub(crate) done: bool,
}
