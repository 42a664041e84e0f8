//! Events of apps: their type names, and what each says.
//!
//! Invariant: an event of a former version of Squidex is here only in its current form, except for those of
//! patterns, whose current form depends on the state.

use super::settings::{AssetScripts, Image, Settings};
use super::workflow::Workflow;
use crate::squidex::id::DomainId;
use crate::squidex::json::{Int, Text, properties};
use crate::squidex::payload::{Base, Nothing, read};
use crate::squidex::typed::{Kind, Shape, Typed};
use crate::{FoldError, Payload};

/// Declares shapes that have no rules of their own.
macro_rules! shapes {
    ($($(#[$meta:meta])* $name:ident = $kind:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl Shape for $name {
            const KIND: &'static Kind = &$kind;
        }
    )*};
}

shapes! {
    /// Ids of permissions.
    Permissions = Kind::List(&Kind::Text);
    /// Free-form properties of a role.
    RoleProperties = Kind::Map(&Kind::Json);
    /// Languages that stand in for one.
    Fallback = Kind::List(&Kind::Language);
    /// Role of a client, once.
    ClientPermission = Kind::Enum(&["Developer", "Editor", "Reader"]);
    /// Role of a contributor, once.
    ContributorPermission = Kind::Enum(&["Owner", "Developer", "Editor"]);
}

properties! {
    struct AppCreated<'a> {
        "name" => name: Option<Text<'a>>,
    }

    /// A null property isn't changed.
    struct AppUpdated<'a> {
        "label" => label: Option<Text<'a>>,
        "description" => description: Option<Text<'a>>,
    }

    struct AppDeleted<'a> {}
    checked { "permanent" => bool, }

    struct AppTransfered<'a> {
        "teamId" => team_id: Option<Text<'a>>,
    }

    struct AppSettingsUpdated<'a> {
        "settings" => settings: Typed<Settings>,
    }

    struct AppAssetsScriptsConfigured<'a> {
        "scripts" => scripts: Typed<AssetScripts>,
    }

    struct AppPlanChanged<'a> {
        "planId" => plan_id: Option<Text<'a>>,
    }

    struct AppImageUploaded<'a> {
        "image" => image: Typed<Image>,
    }

    struct AppContributorAssigned<'a> {
        "contributorId" => contributor_id: Option<Text<'a>>,
        "role" => role: Option<Text<'a>>,
    }
    checked { "isCreated" => bool, "isAdded" => bool, }

    struct OldContributorAssigned<'a> {
        "contributorId" => contributor_id: Option<Text<'a>>,
        "permission" => permission: Typed<ContributorPermission>,
    }

    struct AppContributorRemoved<'a> {
        "contributorId" => contributor_id: Option<Text<'a>>,
    }

    struct AppClientAttached<'a> {
        "id" => id: Option<Text<'a>>,
        "secret" => secret: Option<Text<'a>>,
        "role" => role: Option<Text<'a>>,
    }

    /// A null property isn't changed.
    struct AppClientUpdated<'a> {
        "id" => id: Option<Text<'a>>,
        "name" => name: Option<Text<'a>>,
        "role" => role: Option<Text<'a>>,
        "apiCallsLimit" => api_calls_limit: Option<Int<i64>>,
        "apiTrafficLimit" => api_traffic_limit: Option<Int<i64>>,
        "allowAnonymous" => allow_anonymous: Option<bool>,
    }

    struct OldClientUpdated<'a> {
        "id" => id: Option<Text<'a>>,
        "permission" => permission: Typed<ClientPermission>,
    }

    struct OldClientRenamed<'a> {
        "id" => id: Option<Text<'a>>,
        "name" => name: Option<Text<'a>>,
    }

    struct OldClientChanged<'a> {}
    checked { "id" => Option<Text<'a>>, "isReader" => bool, }

    struct AppClientRevoked<'a> {
        "id" => id: Option<Text<'a>>,
    }

    struct AppWorkflowAdded<'a> {
        "workflowId" => workflow_id: DomainId<'a>,
        "name" => name: Option<Text<'a>>,
    }

    struct AppWorkflowUpdated<'a> {
        "workflowId" => workflow_id: DomainId<'a>,
        "workflow" => workflow: Typed<Workflow>,
    }

    struct OldWorkflowConfigured<'a> {
        "workflow" => workflow: Typed<Workflow>,
    }

    struct AppWorkflowDeleted<'a> {
        "workflowId" => workflow_id: DomainId<'a>,
    }

    struct AppRoleAdded<'a> {
        "name" => name: Option<Text<'a>>,
    }

    struct AppRoleUpdated<'a> {
        "name" => name: Option<Text<'a>>,
        "permissions" => permissions: Typed<Permissions>,
        "properties" => properties: Typed<RoleProperties>,
    }

    struct AppRoleDeleted<'a> {
        "name" => name: Option<Text<'a>>,
    }

    struct AppLanguageAdded<'a> {
        "language" => language: Option<Text<'a>>,
    }

    struct AppLanguageRemoved<'a> {
        "language" => language: Option<Text<'a>>,
    }

    struct AppLanguageUpdated<'a> {
        "language" => language: Option<Text<'a>>,
        "isOptional" => is_optional: bool,
        "isMaster" => is_master: bool,
        "fallback" => fallback: Typed<Fallback>,
    }

    struct AppMasterLanguageSet<'a> {}
    checked { "language" => Option<Text<'a>>, }

    /// A pattern that was added or updated.
    struct OldPattern<'a> {
        "name" => name: Option<Text<'a>>,
        "pattern" => regex: Option<Text<'a>>,
        "message" => message: Option<Text<'a>>,
    }
    checked { "patternId" => DomainId<'a>, }

    struct OldPatternDeleted<'a> {}
    checked { "patternId" => DomainId<'a>, }

    struct AppUsageExceeded<'a> {}
    checked { "callsCurrent" => Int<i64>, "callsLimit" => Int<i64>, "ruleId" => DomainId<'a>, }
}

/// An event of an app.
#[derive(Debug)]
pub(super) enum AppEvent<'a> {
    Created(AppCreated<'a>),
    Updated(AppUpdated<'a>),
    Deleted,
    Transfered(AppTransfered<'a>),
    SettingsUpdated(AppSettingsUpdated<'a>),
    AssetScriptsConfigured(AppAssetsScriptsConfigured<'a>),
    PlanChanged(AppPlanChanged<'a>),
    PlanReset,
    ImageUploaded(AppImageUploaded<'a>),
    ImageRemoved,
    ContributorAssigned(AppContributorAssigned<'a>),
    ContributorRemoved(AppContributorRemoved<'a>),
    ClientAttached(AppClientAttached<'a>),
    ClientUpdated(AppClientUpdated<'a>),
    ClientRevoked(AppClientRevoked<'a>),
    WorkflowAdded(AppWorkflowAdded<'a>),
    WorkflowUpdated(AppWorkflowUpdated<'a>),
    WorkflowDeleted(AppWorkflowDeleted<'a>),
    RoleAdded(AppRoleAdded<'a>),
    RoleUpdated(AppRoleUpdated<'a>),
    RoleDeleted(AppRoleDeleted<'a>),
    LanguageAdded(AppLanguageAdded<'a>),
    LanguageRemoved(AppLanguageRemoved<'a>),
    LanguageUpdated(AppLanguageUpdated<'a>),
    PatternAdded(OldPattern<'a>),
    PatternUpdated(OldPattern<'a>),
    /// An event that changes nothing, but must be readable.
    Ignored,
}

type Read<'a> = Result<Option<(Base<'a>, AppEvent<'a>)>, FoldError>;

impl<'a> AppEvent<'a> {
    /// Reads an event; `None` for a type that apps don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(event_type: &str, payload: &Payload<'a>) -> Read<'a> {
        match event_type.to_ascii_lowercase().as_str() {
            "appcreatedevent" => read(payload, Self::Created),
            "appupdatedevent" => read(payload, Self::Updated),
            "appdeletedevent" => read(payload, |_: AppDeleted<'a>| Self::Deleted),
            "apptransferedevent" => read(payload, Self::Transfered),
            "appsettingsupdatedevent" => read(payload, Self::SettingsUpdated),
            "appassetsscriptsconfiguredevent" => read(payload, Self::AssetScriptsConfigured),
            "appplanchangedevent" => read(payload, Self::PlanChanged),
            "appplanresetevent" => read(payload, |_: Nothing| Self::PlanReset),
            "appimageuploadedevent" => read(payload, Self::ImageUploaded),
            "appimageremovedevent" => read(payload, |_: Nothing| Self::ImageRemoved),
            "appcontributorassignedeventv2" => read(payload, Self::ContributorAssigned),
            "appcontributorremovedevent" => read(payload, Self::ContributorRemoved),
            "appclientattachedevent" => read(payload, Self::ClientAttached),
            "appclientupdatedeventv2" => read(payload, Self::ClientUpdated),
            "appclientrevokedevent" => read(payload, Self::ClientRevoked),
            "appworkflowaddedevent" => read(payload, Self::WorkflowAdded),
            "appworkflowupdatedevent" => read(payload, Self::WorkflowUpdated),
            "appworkflowdeletedevent" => read(payload, Self::WorkflowDeleted),
            "approleaddedevent" => read(payload, Self::RoleAdded),
            "approleupdatedevent" => read(payload, Self::RoleUpdated),
            "approledeletedevent" => read(payload, Self::RoleDeleted),
            "applanguageaddedevent" => read(payload, Self::LanguageAdded),
            "applanguageremovedevent" => read(payload, Self::LanguageRemoved),
            "applanguageupdated" => read(payload, Self::LanguageUpdated),
            "appmasterlanguagesetevent" => read(payload, |_: AppMasterLanguageSet<'a>| Self::Ignored),
            "appusageexceededevent" => read(payload, |_: AppUsageExceeded<'a>| Self::Ignored),
            old => Self::read_old(old, payload),
        }
    }

    /// Reads an event of a former version.
    fn read_old(event_type: &str, payload: &Payload<'a>) -> Read<'a> {
        match event_type {
            "apparchivedevent" => read(payload, |_: Nothing| Self::Deleted),
            "appplanchanged" => read(payload, |old: AppPlanChanged<'a>| {
                let is_plan = old.plan_id.as_ref().is_some_and(|plan_id| !plan_id.as_str().trim().is_empty());
                if is_plan { Self::PlanChanged(old) } else { Self::PlanReset }
            }),
            "appcontributorassignedevent" => read(payload, |old: OldContributorAssigned<'a>| {
                Self::ContributorAssigned(AppContributorAssigned {
                    contributor_id: old.contributor_id,
                    role: role(&old.permission),
                    ..AppContributorAssigned::default()
                })
            }),
            "appclientupdatedevent" => read(payload, |old: OldClientUpdated<'a>| {
                let role = role(&old.permission);
                Self::ClientUpdated(AppClientUpdated { id: old.id, role, ..AppClientUpdated::default() })
            }),
            "appclientrenamedevent" => read(payload, |old: OldClientRenamed<'a>| {
                let name = old.name;
                Self::ClientUpdated(AppClientUpdated { id: old.id, name, ..AppClientUpdated::default() })
            }),
            // Squidex has no fold for what it converts this one to.
            "appclientchangedevent" => read(payload, |_: OldClientChanged<'a>| Self::Ignored),
            "appworkflowconfiguredevent" => read(payload, |old: OldWorkflowConfigured<'a>| {
                let workflow = old.workflow;
                Self::WorkflowUpdated(AppWorkflowUpdated { workflow, ..AppWorkflowUpdated::default() })
            }),
            "apppatternaddedevent" => read(payload, Self::PatternAdded),
            "apppatternupdatedevent" => read(payload, Self::PatternUpdated),
            // Squidex sets the unchanged settings.
            "apppatterndeletedevent" => read(payload, |_: OldPatternDeleted<'a>| Self::Ignored),
            _ => Ok(None),
        }
    }
}

/// The role that has the name of a permission; a number without a name is none.
fn role<'a, S>(permission: &Typed<S>) -> Option<Text<'a>> {
    permission.0.as_str().map(|name| Text(name.to_owned().into()))
}
