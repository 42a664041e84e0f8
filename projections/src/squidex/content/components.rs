//! The schemas that the components in a content may have: those its own schema allows, those they allow, and
//! so on. They are looked up when the first component is met, since most contents have none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::schema::{Field, Kind, Schema};
use super::shapes::Shapes;
use crate::{FoldError, Lookup};

/// The schemas of components, by their ids.
pub(super) struct Components<'a> {
    app_id: &'a str,
    schema: &'a Arc<Schema>,
    schemas: &'a Shapes<Schema>,
    others: &'a dyn Lookup,
    /// `None` is the schema of an id for which there is none.
    found: Option<BTreeMap<String, Option<Arc<Schema>>>>,
}

impl<'a> Components<'a> {
    /// Those of a content of this app and schema.
    pub(super) fn new(
        app_id: &'a str,
        schema: &'a Arc<Schema>,
        schemas: &'a Shapes<Schema>,
        others: &'a dyn Lookup,
    ) -> Self {
        Self { app_id, schema, schemas, others, found: None }
    }

    /// The schema with this id, if components may have it.
    ///
    /// # Errors
    /// [`FoldError`] if a schema can't be read.
    pub(super) fn find(&mut self, id: &[u8]) -> Result<Option<Arc<Schema>>, FoldError> {
        let found = match &mut self.found {
            Some(found) => found,
            None => self.found.insert(resolve(self.app_id, self.schema, self.schemas, self.others)?),
        };
        Ok(std::str::from_utf8(id).ok().and_then(|id| found.get(id)).cloned().flatten())
    }
}

/// Looks all schemas up, also behind one that isn't loaded yet, so that as many as possible are asked for at
/// once.
fn resolve(
    app_id: &str,
    schema: &Arc<Schema>,
    schemas: &Shapes<Schema>,
    others: &dyn Lookup,
) -> Result<BTreeMap<String, Option<Arc<Schema>>>, FoldError> {
    let (mut found, mut to_visit) = (BTreeMap::new(), vec![Arc::clone(schema)]);
    while let Some(schema) = to_visit.pop() {
        let mut ids = Vec::new();
        allowed(&schema.fields, &mut ids);
        for id in ids {
            if !found.contains_key(id) {
                let schema = schemas.find(&format!("{app_id}--{id}"), others)?;
                to_visit.extend(schema.clone());
                found.insert(id.to_owned(), schema);
            }
        }
    }
    Ok(found)
}

/// Appends the ids of the schemas that components in these fields may have.
fn allowed<'a>(fields: &'a [Field], ids: &mut Vec<&'a str>) {
    for field in fields {
        match &field.kind {
            Kind::Component(some) | Kind::Components(some) => {
                ids.extend(some.iter().map(String::as_str));
            }
            Kind::Array(nested) => allowed(nested, ids),
            Kind::Ids | Kind::Other => {}
        }
    }
}
