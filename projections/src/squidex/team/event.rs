//! Events of teams: their type names, and the payload that each has.

use crate::squidex::id::{DomainId, RefToken};
use crate::squidex::json::{Text, properties};
use crate::squidex::payload::{Nothing, actor, read};
use crate::squidex::typed::{Kind, Member, Shape, Typed};
use crate::{FoldError, Payload};

/// How users of a team sign in.
#[derive(Debug)]
pub(super) struct AuthScheme;

impl Shape for AuthScheme {
    const KIND: &'static Kind = &Kind::Object(&[
        Member::text("domain"),
        Member::text("displayName"),
        Member::text("clientId"),
        Member::text("clientSecret"),
        Member::text("authority"),
        Member::text("signoutRedirectUrl"),
    ]);
}

properties! {
    /// Properties of every event of a team.
    struct TeamBase<'a> {
        "teamId" => team_id: DomainId<'a>,
        "actor" => actor: Option<Text<'a>>,
    }
    checked { "fromRule" => bool, }

    struct TeamCreated<'a> {
        "name" => name: Option<Text<'a>>,
    }

    struct TeamUpdated<'a> {
        "name" => name: Option<Text<'a>>,
    }

    struct TeamPlanChanged<'a> {
        "planId" => plan_id: Option<Text<'a>>,
    }

    struct TeamContributorAssigned<'a> {
        "contributorId" => contributor_id: Option<Text<'a>>,
        "role" => role: Option<Text<'a>>,
    }
    checked { "isCreated" => bool, "isAdded" => bool, }

    struct TeamContributorRemoved<'a> {
        "contributorId" => contributor_id: Option<Text<'a>>,
    }

    struct TeamAuthChanged<'a> {
        "scheme" => scheme: Typed<AuthScheme>,
    }
}

impl TeamBase<'_> {
    /// The actor who caused the event.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the text has only spaces and colons.
    pub(super) fn actor(&self) -> Result<Option<RefToken<'_>>, FoldError> {
        actor(self.actor.clone())
    }
}

/// An event of a team.
#[derive(Debug)]
pub(super) enum TeamEvent<'a> {
    Created(TeamCreated<'a>),
    Updated(TeamUpdated<'a>),
    PlanChanged(TeamPlanChanged<'a>),
    PlanReset,
    ContributorAssigned(TeamContributorAssigned<'a>),
    ContributorRemoved(TeamContributorRemoved<'a>),
    AuthChanged(TeamAuthChanged<'a>),
    Deleted,
}

impl<'a> TeamEvent<'a> {
    /// Reads an event; `None` for a type that teams don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(TeamBase<'a>, Self)>, FoldError> {
        match event_type.to_ascii_lowercase().as_str() {
            "teamcreatedevent" => read(payload, Self::Created),
            "teamupdatedevent" => read(payload, Self::Updated),
            "teamplanchangedevent" => read(payload, Self::PlanChanged),
            "teamplanresetevent" => read(payload, |_: Nothing| Self::PlanReset),
            "teamcontributorassignedevent" => read(payload, Self::ContributorAssigned),
            "teamcontributorremovedevent" => read(payload, Self::ContributorRemoved),
            "teamauthchanged" => read(payload, Self::AuthChanged),
            "teamdeleted" => read(payload, |_: Nothing| Self::Deleted),
            _ => Ok(None),
        }
    }
}
