//! Databases of single apps, which have the contents of each schema once more, in collections of their own.

use std::collections::HashMap;

use crate::Direction::{Ascending, Descending};
use crate::{IndexDefinition, Spec, Target};

/// A schema whose contents are also in a database of its app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedicatedSchema {
    /// Name of the database: `{database of the contents}_{app id}`.
    pub database: String,
    /// Id of the app.
    pub app_id: String,
    /// Id of the schema, with which the names of the collections end.
    pub schema_id: String,
}

/// Where the contents of some schemas are, too.
#[derive(Debug, Default)]
pub(super) struct Dedicated {
    /// Position of the target of all contents, by `{app id}--{schema id}`; the next one is that of the
    /// published contents.
    targets: HashMap<String, usize>,
}

impl Dedicated {
    /// Adds the targets of these schemas to the specification.
    pub(super) fn of(mut spec: Spec, schemas: &[DedicatedSchema]) -> (Spec, Self) {
        let mut targets = HashMap::new();
        for schema in schemas {
            targets.insert(format!("{}--{}", schema.app_id, schema.schema_id), spec.targets().len());
            for collection in ["States_Contents_All", "States_Contents_Published"] {
                let target = Target::new(collection)
                    .with_suffix(&format!("_{}", schema.schema_id))
                    .in_database(&schema.database)
                    .index(IndexDefinition::on([
                        ("mt", Descending),
                        ("id", Ascending),
                        ("dl", Ascending),
                        ("rf", Ascending),
                    ]))
                    .index(IndexDefinition::on([("_si", Ascending), ("dl", Ascending), ("mt", Descending)]));
                spec = spec.target(target);
            }
        }
        (spec, Self { targets })
    }

    /// Positions of the targets that the contents of a schema go to, too: all, and the published ones.
    pub(super) fn targets(&self, app_id: &[u8], schema_id: &[u8]) -> Option<(usize, usize)> {
        if self.targets.is_empty() {
            return None;
        }
        let text = std::str::from_utf8;
        let key = format!("{}--{}", text(app_id).ok()?, text(schema_id).ok()?);
        let all = *self.targets.get(&key)?;
        Some((all, all + 1))
    }
}
