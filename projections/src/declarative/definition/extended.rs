//! MongoDB Extended JSON within a definition: values that neither TOML nor JSON have a form for.
//!
//! Format: <https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/>, version 2.

use bson::{Bson, Document};

/// Names that make an object one value. No operator has one of them.
const NAMES: [&str; 12] = [
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$date",
    "$oid",
    "$uuid",
    "$binary",
    "$timestamp",
    "$regularExpression",
    "$minKey",
    "$maxKey",
];

/// The value that an object means; the object itself if it isn't Extended JSON.
///
/// # Errors
/// What is wrong with it.
pub(super) fn value(object: Document) -> Result<Bson, String> {
    let Some(name) = object.keys().next().filter(|name| NAMES.contains(&name.as_str())).cloned() else {
        return Ok(Bson::Document(object));
    };
    let json = Bson::Document(object).into_relaxed_extjson();
    match Bson::try_from(json) {
        Ok(Bson::Document(_)) => Err(format!("`{name}` stands beside other names")),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("this isn't what {name} stands for: {error}")),
    }
}
