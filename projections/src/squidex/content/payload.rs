//! Payloads of the events of contents, in their current and in their former form.
//!
//! Every property that Squidex types is typed here too, even if the fold doesn't need it: a payload that
//! Squidex can't read must not become a snapshot.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::data::ContentData;
use crate::squidex::id::{DomainId, NamedId};
use crate::squidex::json::{Int, IntReader, Text, properties};
use crate::squidex::quick::{NotPlain, Plain, Reader};
use crate::squidex::time::Moment;

/// The name of a status; `None` if it isn't set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Status<'a>(Option<Text<'a>>);

impl<'a> Status<'a> {
    /// The status of which there is a copy in `Published`.
    pub(super) const PUBLISHED: &'static [u8] = b"Published";

    /// How a status that isn't set is stored.
    pub(super) const UNSET: &'static [u8] = b"Unknown";

    pub(super) fn published() -> Self {
        Self(Some(Text("Published".into())))
    }

    /// This status, or `Draft` if it isn't set, as in events of former versions. One that has the name of a
    /// status that isn't set is none either: Squidex compares names.
    pub(super) fn or_draft(self) -> Self {
        Self(Some(self.0.filter(|name| name.as_bytes() != Self::UNSET).unwrap_or(Text("Draft".into()))))
    }

    /// Its name, for a state to keep.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(Text::as_bytes)
    }
}

impl<'de> Deserialize<'de> for Status<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|name| Self(Some(name)))
    }
}

impl<'de> Plain<'de> for Status<'de> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Text::read(reader).map(|name| Self(Some(name)))
    }
}

/// The kind of a change of status, which nothing depends on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusChange;

impl<'de> Deserialize<'de> for StatusChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = |text: &str| {
            let names = ["Change", "Published", "Unpublished"];
            names.iter().any(|name| name.eq_ignore_ascii_case(text)).then_some(0)
        };
        let number = deserializer.deserialize_any(IntReader { expected: "a change of status", name })?;
        i32::try_from(number).map(|_| Self).map_err(|_| D::Error::custom("there is no such change of status"))
    }
}

impl<'de> Plain<'de> for StatusChange {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        if reader.take(b"\"Change\"") || reader.take(b"\"Published\"") || reader.take(b"\"Unpublished\"") {
            return Ok(Self);
        }
        Int::<i32>::read(reader).map(|_| Self)
    }
}

properties! {
    struct Created<'a> {
        "status" => status: Status<'a>,
        "data" => data: Option<ContentData<'a>>,
        "contentId" => content_id: DomainId<'a>,
        "schemaId" => schema_id: Option<NamedId<'a>>,
    }

    struct Updated<'a> {
        "data" => data: Option<ContentData<'a>>,
    }
    checked {
        "newVersion" => bool,
        "contentId" => DomainId<'a>,
        "schemaId" => Option<NamedId<'a>>,
    }

    /// Without data, the draft begins with the current ones.
    struct DraftCreated<'a> {
        "migratedData" => migrated_data: Option<ContentData<'a>>,
        "status" => status: Status<'a>,
    }
    checked { "contentId" => DomainId<'a>, "schemaId" => Option<NamedId<'a>>, }

    struct StatusChanged<'a> {
        "status" => status: Status<'a>,
    }
    checked {
        "change" => StatusChange,
        "newVersion" => bool,
        "contentId" => DomainId<'a>,
        "schemaId" => Option<NamedId<'a>>,
    }

    struct StatusScheduled<'a> {
        "status" => status: Status<'a>,
        "dueTime" => due_time: Moment,
    }
    checked { "contentId" => DomainId<'a>, "schemaId" => Option<NamedId<'a>>, }

    /// An event that has nothing but its type.
    struct Bare<'a> {}
    checked { "contentId" => DomainId<'a>, "schemaId" => Option<NamedId<'a>>, }

    /// The former form of a change of status.
    struct FormerStatusChanged<'a> {
        "status" => status: Status<'a>,
    }
    checked {
        "change" => Option<Text<'a>>,
        "contentId" => DomainId<'a>,
        "schemaId" => Option<NamedId<'a>>,
    }

    /// The former form of the creation of a draft.
    struct UpdateProposed<'a> {
        "data" => data: Option<ContentData<'a>>,
    }
    checked { "contentId" => DomainId<'a>, "schemaId" => Option<NamedId<'a>>, }
}
