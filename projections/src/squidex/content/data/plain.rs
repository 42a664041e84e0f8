//! Data read by the quick reader.

use super::{ContentData, LEVELS, Partitions};
use crate::squidex::quick::{NotPlain, Plain, Reader};
use crate::squidex::value::JsonObject;
use crate::squidex::value::elements::{self, Elements};
use crate::squidex::value::key::Ordinal;
use crate::squidex::value::members::{NULL, OBJECT};
use crate::squidex::value::plain::{members_of, value};

impl<'de> Plain<'de> for ContentData<'_> {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        elements::build(|elements| members_of::<Ordinal>(reader, elements, true, field))
            .map(|built| Self(JsonObject::of_elements(built)))
    }
}

/// Appends a field, and returns its BSON type.
fn field(reader: &mut Reader<'_>, elements: &mut Elements) -> Result<u8, NotPlain> {
    if reader.take(b"null") {
        return Ok(NULL);
    }
    let start = elements.open();
    members_of::<Partitions>(reader, elements, true, |reader, elements| value(reader, elements, LEVELS))?;
    elements.close(start);
    Ok(OBJECT)
}
