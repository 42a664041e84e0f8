//! The ids that the data of a content refer to: contents and assets, in the order of the schema's fields.

use std::collections::HashSet;

use super::components::Components;
use super::schema::{Field, Kind, Schema};
use crate::squidex::json::FEW;
use crate::squidex::value::find::ByKey;
use crate::squidex::value::key::Ordinal;
use crate::squidex::value::members::{Member, Members};
use crate::{DocumentWriter, FoldError};

/// Distinct ids in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct References<'a> {
    ids: Vec<&'a [u8]>,
    seen: HashSet<&'a [u8]>,
}

impl<'a> References<'a> {
    /// The references in these data.
    ///
    /// # Errors
    /// [`FoldError`] if the schema of a component can't be read.
    pub(super) fn of(
        data: Members<'a>,
        schema: &Schema,
        components: &mut Components<'_>,
    ) -> Result<Self, FoldError> {
        let (mut references, mut data) = (Self::default(), ByKey::<Ordinal>::new(data));
        for field in schema.fields.iter().filter(|field| field.kind.can_refer()) {
            let partitions = data.find(field.name.as_bytes()).and_then(|found| found.object());
            for partition in partitions.into_iter().flatten() {
                references.add(&field.kind, &partition, components)?;
            }
        }
        Ok(references)
    }

    pub(super) fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        document.array(name, |array| {
            for id in &self.ids {
                array.push(|document, name| document.text(name, id));
            }
        });
    }

    /// Adds the references in a value of a field of this kind.
    fn add(
        &mut self,
        kind: &Kind,
        value: &Member<'a>,
        components: &mut Components<'_>,
    ) -> Result<(), FoldError> {
        let items = || value.array().into_iter().flatten();
        match kind {
            Kind::Ids => {
                for id in items() {
                    if let Some(id) = id.text() {
                        self.add_id(id);
                    }
                }
            }
            Kind::Component(_) => self.add_component(value, components)?,
            Kind::Components(_) => {
                for item in items() {
                    self.add_component(&item, components)?;
                }
            }
            Kind::Array(nested) => {
                for item in items() {
                    self.add_members(nested, &item, components)?;
                }
            }
            Kind::Other => {}
        }
        Ok(())
    }

    fn add_component(
        &mut self,
        value: &Member<'a>,
        components: &mut Components<'_>,
    ) -> Result<(), FoldError> {
        let mut members = value.object().into_iter().flatten();
        let Some(schema_id) = members.find(|member| member.key == b"schemaId").and_then(|id| id.text())
        else {
            return Ok(());
        };
        let Some(schema) = components.find(schema_id)? else { return Ok(()) };
        self.add_members(&schema.fields, value, components)
    }

    /// Adds the references in the members of an object that have the names of these fields.
    fn add_members(
        &mut self,
        fields: &[Field],
        object: &Member<'a>,
        components: &mut Components<'_>,
    ) -> Result<(), FoldError> {
        let Some(members) = object.object() else { return Ok(()) };
        let mut members = ByKey::<Ordinal>::new(members);
        for field in fields.iter().filter(|field| field.kind.can_refer()) {
            if let Some(value) = members.find(field.name.as_bytes()) {
                self.add(&field.kind, &value, components)?;
            }
        }
        Ok(())
    }

    fn add_id(&mut self, id: &'a [u8]) {
        let is_new = if self.ids.len() < FEW {
            !self.ids.contains(&id)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(&self.ids);
            }
            self.seen.insert(id)
        };
        if is_new {
            self.ids.push(id);
        }
    }
}
