//! Rules: the fold of their events, and the documents of `States_Rules`.

mod event;
mod flow;
mod trigger;

use event::{Base, Change, RuleEvent};
use serde_json::{Map, Value};

use super::doc::{ValueRepresentation, heap_bytes, write_doc};
use super::frame::Frame;
use super::id::named_id_parts;
use super::payload::actor;
use crate::Direction::Ascending;
use crate::{
    Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};

/// What is done with a step, an action or a trigger whose type isn't known, because it comes with a plugin.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSteps {
    /// It is kept with its members as they are stored.
    #[default]
    Keep,
    /// The rule fails, as it does in a Squidex without the plugin.
    Fail,
}

/// Rules of all apps, into `States_Rules`.
///
/// Squidex itself writes the collection without a number, which counts as generation 1, so statefold starts
/// with 2.
#[derive(Debug)]
pub struct Rules {
    spec: Spec,
    values: ValueRepresentation,
    unknown_steps: UnknownSteps,
}

impl Rules {
    /// The projection, with `Doc` as a document; unknown steps are kept.
    #[must_use]
    pub fn new() -> Self {
        Self::with_values(ValueRepresentation::default())
    }

    /// The projection, with `Doc` stored in this way; unknown steps are kept.
    #[must_use]
    pub fn with_values(values: ValueRepresentation) -> Self {
        let target =
            Target::new("States_Rules").first_unnumbered().index(IndexDefinition::on([("_ai", Ascending)]));
        let streams = StreamFilter::prefix("rule-");
        let spec = Spec::new("Rules", 1).first_generation(2).streams(streams).target(target);
        let spec = spec.remarks_on("with a trigger or step of an unknown plugin, kept as it stands");
        Self { spec: values.of(spec), values, unknown_steps: UnknownSteps::default() }
    }

    /// Does this with steps, actions and triggers whose type isn't known.
    #[must_use]
    pub fn unknown_steps(mut self, unknown_steps: UnknownSteps) -> Self {
        self.unknown_steps = unknown_steps;
        if unknown_steps == UnknownSteps::Fail {
            self.spec = self.spec.variant("rules=fail");
        }
        self
    }

    /// Whether an event may have this trigger and this flow.
    fn check(&self, change: &Change) -> Result<(), FoldError> {
        let unknown = trigger::unknown(&change.trigger).or_else(|| flow::unknown(&change.flow));
        match (self.unknown_steps, unknown) {
            (UnknownSteps::Fail, Some(name)) => {
                Err(FoldError::Payload(format!("no trigger, step or action has the type `{name}`")))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

/// The folded state of one rule.
#[derive(Debug)]
pub struct Rule {
    frame: Frame,
    /// `id,name`
    app: Option<String>,
    name: Option<String>,
    trigger: Value,
    flow: Value,
    is_enabled: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            frame: Frame::default(),
            app: None,
            name: None,
            trigger: Value::Null,
            flow: Value::Null,
            is_enabled: true,
        }
    }
}

impl Projection for Rules {
    type State = Rule;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, rule: &mut Rule, event: &Event<'_>) -> Result<(), FoldError> {
        rule.frame.count();
        let Some((mut base, change)) = RuleEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = actor(base.actor.take())?;
        if let RuleEvent::Created(change) | RuleEvent::Updated(change) = &change {
            self.check(change)?;
        }
        if !rule.frame.is_deleted && rule.change(base, change)? {
            rule.frame.changed(event, actor.as_ref());
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        rule: &Rule,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if !rule.frame.exists() {
            return Ok(());
        }
        let app = rule.app.as_deref().ok_or(FoldError::Missing("appId"))?;
        if trigger::unknown(&rule.trigger).or_else(|| flow::unknown(&rule.flow)).is_some() {
            out.remark();
        }
        let doc = Value::Object(rule.doc(app));
        out.put(0, |document| {
            write_doc(document, self.values, &doc);
            rule.frame.write_version(document);
            document.str("_ai", named_id_parts(app).0);
            document.str("_ri", rule.frame.id());
            document.bool("_dl", rule.frame.is_deleted);
        })
    }

    fn state_bytes(&self, rule: &Rule) -> usize {
        let texts: usize = [&rule.app, &rule.name].into_iter().flatten().map(String::capacity).sum();
        let values = heap_bytes(&rule.trigger) + heap_bytes(&rule.flow);
        size_of_val(rule) + rule.frame.heap_bytes() + texts + values
    }
}

impl Rule {
    /// Applies an event; returns true if it changed something.
    fn change(&mut self, base: Base<'_>, event: RuleEvent) -> Result<bool, FoldError> {
        match event {
            RuleEvent::Created(change) => {
                self.frame.create(base.rule_id.0.map(|id| id.0.into_owned()));
                self.app = base.app_id.map(|app| app.0.0.into_owned());
                self.name = change.name;
                self.trigger = change.trigger;
                self.flow = change.flow;
                self.is_enabled = change.is_enabled.unwrap_or(true);
                Ok(true)
            }
            RuleEvent::Updated(change) => self.update(change),
            RuleEvent::Enabled => Ok(self.enable(true)),
            RuleEvent::Disabled => Ok(self.enable(false)),
            RuleEvent::Deleted => {
                self.frame.is_deleted = true;
                Ok(true)
            }
            RuleEvent::Ignored => Ok(false),
        }
    }

    /// Sets what is given and differs.
    fn update(&mut self, change: Change) -> Result<bool, FoldError> {
        let mut changed = false;
        if !change.trigger.is_null() {
            let (old, new) = (trigger::type_name(&self.trigger), trigger::type_name(&change.trigger));
            if !old.eq_ignore_ascii_case(new) {
                return Err(FoldError::Refused(format!("the trigger is a {old}, and can't become a {new}")));
            }
            changed |= replace(&mut self.trigger, change.trigger);
        }
        if !change.flow.is_null() {
            if self.flow.is_null() {
                return Err(FoldError::Refused("the rule has no flow that could be updated".into()));
            }
            changed |= replace(&mut self.flow, change.flow);
        }
        if change.name.is_some() {
            changed |= replace(&mut self.name, change.name);
        }
        if let Some(is_enabled) = change.is_enabled {
            changed |= self.enable(is_enabled);
        }
        Ok(changed)
    }

    fn enable(&mut self, is_enabled: bool) -> bool {
        replace(&mut self.is_enabled, is_enabled)
    }

    fn doc(&self, app: &str) -> Map<String, Value> {
        let mut doc = Map::new();
        let members: [(&str, Value); 6] = [
            ("name", self.name.clone().into()),
            ("trigger", self.trigger.clone()),
            ("flow", self.flow.clone()),
            ("isEnabled", self.is_enabled.into()),
            ("appId", app.into()),
            ("isDeleted", self.frame.is_deleted.into()),
        ];
        doc.extend(members.map(|(name, value)| (name.to_owned(), value)));
        self.frame.end_doc(&mut doc);
        doc
    }
}

/// Sets a value, and returns true if it differs from the former one.
fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let differs = *old != new;
    if differs {
        *old = new;
    }
    differs
}
