//! Events of rules: their type names, the payload that each has, and the conversion of former ones.

use serde_json::Value;

use super::{flow, trigger};
use crate::squidex::id::{DomainId, NamedId};
use crate::squidex::json::{Text, properties};
use crate::squidex::payload::{Nothing, read};
use crate::squidex::typed::{Kind, Shape, Typed};
use crate::{FoldError, Payload};

/// An event of a rule.
#[derive(Debug)]
pub(super) enum RuleEvent {
    Created(Change),
    Updated(Change),
    Enabled,
    Disabled,
    Deleted,
    /// Known, but without an effect.
    Ignored,
}

/// What an event says of a rule; null and `None` say nothing.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) trigger: Value,
    pub(super) flow: Value,
    pub(super) is_enabled: Option<bool>,
}

impl RuleEvent {
    /// Reads an event; `None` for a type that rules don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read<'a>(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        let is = |name: &str| event_type.eq_ignore_ascii_case(name);
        match event_type.len() {
            9 if is("NoopEvent") => read(payload, |_: Nothing| Self::Ignored),
            16 if is("RuleDeletedEvent") => read(payload, |_: Nothing| Self::Deleted),
            16 if is("RuleEnabledEvent") => read(payload, |_: Nothing| Self::Enabled),
            16 if is("RuleCreatedEvent") => {
                let once = read(payload, CreatedOnce::current)?;
                once.map(|(base, current)| Ok((base, current?))).transpose()
            }
            16 if is("RuleUpdatedEvent") => {
                let once = read(payload, UpdatedOnce::current)?;
                once.map(|(base, current)| Ok((base, current?))).transpose()
            }
            17 if is("RuleDisabledEvent") => read(payload, |_: Nothing| Self::Disabled),
            18 if is("RuleCreatedEventV2") => read(payload, |new: Described<'a>| Self::Created(new.into())),
            18 if is("RuleUpdatedEventV2") => read(payload, |new: Described<'a>| Self::Updated(new.into())),
            20 if is("RuleCronJobTriggered") => read(payload, |_: Triggered<'a>| Self::Ignored),
            21 if is("RuleManuallyTriggered") => read(payload, |_: Triggered<'a>| Self::Ignored),
            _ => Ok(None),
        }
    }
}

/// A trigger.
#[derive(Debug)]
pub(super) enum Trigger {}

impl Shape for Trigger {
    const KIND: &'static Kind = &trigger::KIND;
}

/// A flow.
#[derive(Debug)]
pub(super) enum Flow {}

impl Shape for Flow {
    const KIND: &'static Kind = &flow::KIND;
}

/// A flow that is stored as an action.
#[derive(Debug)]
pub(super) enum Action {}

impl Shape for Action {
    const KIND: &'static Kind = &flow::ACTION;
}

/// Any value.
#[derive(Debug)]
pub(super) enum Anything {}

impl Shape for Anything {
    const KIND: &'static Kind = &Kind::Json;
}

properties! {
    /// Properties of every event of a rule.
    struct Base<'a> {
        "ruleId" => rule_id: DomainId<'a>,
        "appId" => app_id: Option<NamedId<'a>>,
        "actor" => actor: Option<Text<'a>>,
    }
    checked { "fromRule" => bool, }

    /// A rule was created or updated.
    struct Described<'a> {
        "name" => name: Option<Text<'a>>,
        "trigger" => trigger: Typed<Trigger>,
        "flow" => flow: Typed<Flow>,
        "isEnabled" => is_enabled: Option<bool>,
    }

    /// The first form.
    struct CreatedOnce<'a> {
        "trigger" => trigger: Typed<Trigger>,
        "action" => flow: Typed<Action>,
        "name" => name: Option<Text<'a>>,
    }

    /// The first form.
    struct UpdatedOnce<'a> {
        "name" => name: Option<Text<'a>>,
        "trigger" => trigger: Typed<Trigger>,
        "action" => flow: Typed<Action>,
        "isEnabled" => is_enabled: Option<bool>,
    }

    struct Triggered<'a> {}
    checked { "value" => Typed<Anything>, }
}

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(|text| text.0.into_owned())
}

impl From<Described<'_>> for Change {
    fn from(new: Described<'_>) -> Self {
        Self { name: owned(new.name), trigger: new.trigger.0, flow: new.flow.0, is_enabled: new.is_enabled }
    }
}

impl CreatedOnce<'_> {
    fn current(self) -> Result<RuleEvent, FoldError> {
        let trigger = trigger::current(self.trigger.0).map_err(FoldError::Payload)?;
        let change = Change { name: owned(self.name), trigger, flow: self.flow.0, is_enabled: None };
        Ok(RuleEvent::Created(change))
    }
}

impl UpdatedOnce<'_> {
    fn current(self) -> Result<RuleEvent, FoldError> {
        let trigger = trigger::current(self.trigger.0).map_err(FoldError::Payload)?;
        let is_enabled = self.is_enabled;
        Ok(RuleEvent::Updated(Change { name: owned(self.name), trigger, flow: self.flow.0, is_enabled }))
    }
}
