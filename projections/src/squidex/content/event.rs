//! Events of contents: their type names, and the payload that each has.
//!
//! Type names match in any case. An event of a former version of Squidex becomes its current form.

use super::payload::{
    Bare, Created, DraftCreated, FormerStatusChanged, Status, StatusChanged, StatusScheduled, UpdateProposed,
    Updated,
};
use crate::squidex::payload::{Base, read};
use crate::{FoldError, Payload};

/// An event of a content.
#[derive(Debug)]
pub(super) enum ContentEvent<'a> {
    Created(Created<'a>),
    Updated(Updated<'a>),
    DraftCreated(DraftCreated<'a>),
    DraftDeleted,
    StatusChanged(Status<'a>),
    StatusScheduled(StatusScheduled<'a>),
    SchedulingCancelled,
    Deleted,
    /// An event that Squidex reads, but whose current form it doesn't fold.
    Ignored,
}

impl<'a> ContentEvent<'a> {
    /// Reads an event; `None` for a type that contents don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        // The length alone distinguishes most types, and rules out nearly all foreign ones.
        let is = |name: &str| event_type.eq_ignore_ascii_case(name);
        let bare = |event| read(payload, |_: Bare<'a>| event);
        match event_type.len() {
            19 if is("ContentUpdatedEvent") => read(payload, Self::Updated),
            19 if is("ContentDeletedEvent") => bare(Self::Deleted),
            19 if is("ContentCreatedEvent") => read(payload, |old: Created<'a>| {
                Self::Created(Created { status: old.status.or_draft(), ..old })
            }),
            20 if is("ContentArchivedEvent") || is("ContentRestoredEvent") => bare(Self::Ignored),
            21 if is("ContentCreatedEventV2") => read(payload, Self::Created),
            21 if is("ContentPublishedEvent") => bare(Self::Ignored),
            23 if is("ContentUnpublishedEvent") => bare(Self::Ignored),
            24 if is("ContentDraftCreatedEvent") => read(payload, Self::DraftCreated),
            24 if is("ContentDraftDeletedEvent") => bare(Self::DraftDeleted),
            25 if is("ContentStatusChangedEvent") => {
                read(payload, |old: FormerStatusChanged<'a>| Self::StatusChanged(old.status.or_draft()))
            }
            26 if is("ContentUpdateProposedEvent") => read(payload, |old: UpdateProposed<'a>| {
                Self::DraftCreated(DraftCreated {
                    migrated_data: old.data,
                    status: Status::default().or_draft(),
                    ..DraftCreated::default()
                })
            }),
            27 if is("ContentStatusChangedEventV2") => {
                read(payload, |changed: StatusChanged<'a>| Self::StatusChanged(changed.status))
            }
            27 if is("ContentStatusScheduledEvent") => read(payload, Self::StatusScheduled),
            28 if is("ContentChangesPublishedEvent") => bare(Self::StatusChanged(Status::published())),
            28 if is("ContentChangesDiscardedEvent") => bare(Self::DraftDeleted),
            31 if is("ContentSchedulingCancelledEvent") => bare(Self::SchedulingCancelled),
            _ => Ok(None),
        }
    }
}
