//! Apps: the fold of their events, and the documents of `States_Apps`.

mod clients;
mod event;
mod languages;
mod roles;
mod settings;
mod workflow;

use serde_json::{Map, Value};

use super::doc::{ValueRepresentation, heap_bytes, heap_bytes_of, write_doc};
use super::frame::Frame;
use super::id::{EMPTY_ID, RefToken, named_id_parts};
use super::json::Text;
use super::membership::{Contributors, Plan, remove, required, set, write_users};
use super::payload::Base;
use super::text::eq_ignore_case;
use super::{derived, language, typed};
use crate::Direction::Ascending;
use crate::{
    DocumentWriter, Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter,
    StreamKey, Target,
};
use event::{AppEvent, AppImageUploaded, AppLanguageUpdated, AppUpdated, AppWorkflowUpdated, OldPattern};
use languages::{Language, Languages};

/// Apps, into `States_Apps`.
///
/// Squidex itself writes that collection without a number, which is generation 1, so statefold starts with
/// 2. An image whose event has no etag gets one that is derived from the stream and the number of the
/// event, where Squidex makes a new random one in every fold.
#[derive(Debug)]
pub struct Apps {
    spec: Spec,
    values: ValueRepresentation,
}

impl Apps {
    /// The projection, with documents as Squidex writes them by default.
    #[must_use]
    pub fn new() -> Self {
        Self::with_values(ValueRepresentation::default())
    }

    /// The projection, for a Squidex with this setting.
    #[must_use]
    pub fn with_values(values: ValueRepresentation) -> Self {
        let target = Target::new("States_Apps")
            .first_unnumbered()
            .index(IndexDefinition::on([("_an", Ascending)]))
            .index(IndexDefinition::on([("_ui", Ascending)]))
            .index(IndexDefinition::on([("_ti", Ascending)]));
        let streams = StreamFilter::prefix("app-");
        let spec = Spec::new("Apps", 1).first_generation(2).streams(streams).target(target);
        Self { spec: values.of(spec), values }
    }
}

impl Default for Apps {
    fn default() -> Self {
        Self::new()
    }
}

/// The folded state of one app.
#[derive(Debug)]
pub struct App {
    frame: Frame,
    name: Option<String>,
    label: Option<String>,
    description: Option<String>,
    team_id: Option<String>,
    contributors: Contributors,
    roles: Map<String, Value>,
    plan: Plan,
    clients: Map<String, Value>,
    image: Value,
    settings: Value,
    asset_scripts: Value,
    languages: Languages,
    workflows: Map<String, Value>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            frame: Frame::default(),
            name: None,
            label: None,
            description: None,
            team_id: None,
            contributors: Contributors::default(),
            roles: Map::new(),
            plan: Plan::default(),
            clients: Map::new(),
            image: Value::Null,
            settings: typed::empty(settings::SETTINGS),
            asset_scripts: typed::empty(settings::ASSET_SCRIPTS),
            languages: Languages::default(),
            workflows: Map::new(),
        }
    }
}

impl Projection for Apps {
    type State = App;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, app: &mut App, event: &Event<'_>) -> Result<(), FoldError> {
        app.frame.count();
        let Some((mut base, change)) = AppEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = base.take_actor()?;
        if app.frame.is_deleted {
            return Ok(());
        }
        // Here Squidex returns before it sets author and time of the last change.
        let is_silent = matches!(change, AppEvent::LanguageUpdated(_));
        if app.change(event, &base, actor.as_ref(), change)? {
            if is_silent {
                app.frame.changed_silently();
            } else {
                app.frame.changed(event, actor.as_ref());
            }
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        app: &App,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if !app.frame.exists() {
            return Ok(());
        }
        let creator = app.frame.creator().ok_or(FoldError::Missing("actor"))?;
        out.put(0, |document| {
            write_doc(document, self.values, &app.doc());
            app.frame.write_version(document);
            app.write_indexed(document, creator);
        })
    }

    fn state_bytes(&self, app: &App) -> usize {
        let texts = [&app.name, &app.label, &app.description, &app.team_id];
        let texts = texts.into_iter().flatten().map(String::capacity).sum::<usize>();
        let maps = [&app.contributors.0, &app.roles, &app.clients, &app.workflows];
        let values = [&app.plan.0, &app.image, &app.settings, &app.asset_scripts];
        size_of_val(app)
            + app.frame.heap_bytes()
            + texts
            + maps.into_iter().map(heap_bytes_of).sum::<usize>()
            + values.into_iter().map(heap_bytes).sum::<usize>()
            + app.languages.heap_bytes()
    }
}

impl App {
    /// Folds an event, and returns true if it changed something.
    fn change(
        &mut self,
        event: &Event<'_>,
        base: &Base<'_>,
        actor: Option<&RefToken<'_>>,
        change: AppEvent<'_>,
    ) -> Result<bool, FoldError> {
        match change {
            AppEvent::Created(created) => self.create(base, created.name.as_ref()),
            AppEvent::Updated(updated) => Ok(self.annotate(&updated)),
            AppEvent::Deleted => {
                self.plan.reset();
                self.frame.is_deleted = true;
                Ok(true)
            }
            AppEvent::Transfered(transfered) => {
                let team_id = transfered.team_id.as_ref().map(|team_id| team_id.as_str().to_owned());
                Ok(replace(&mut self.team_id, team_id))
            }
            AppEvent::SettingsUpdated(updated) => Ok(self.set_settings(updated.settings.0)),
            AppEvent::AssetScriptsConfigured(configured) => {
                let scripts = configured.scripts.0;
                Ok(!scripts.is_null() && replace(&mut self.asset_scripts, scripts))
            }
            AppEvent::PlanChanged(changed) => self.plan.change(changed.plan_id.as_ref(), actor),
            AppEvent::PlanReset => Ok(self.plan.reset()),
            AppEvent::ImageUploaded(uploaded) => Ok(self.set_image(event, uploaded)),
            AppEvent::ImageRemoved => Ok(replace(&mut self.image, Value::Null)),
            AppEvent::ContributorAssigned(assigned) => {
                let role = assigned.role.as_ref().map(Text::as_str);
                self.contributors.assign(assigned.contributor_id.as_ref(), role)
            }
            AppEvent::ContributorRemoved(removed) => {
                self.contributors.remove(removed.contributor_id.as_ref())
            }
            AppEvent::ClientAttached(attached) => clients::attach(&mut self.clients, &attached),
            AppEvent::ClientUpdated(updated) => clients::update(&mut self.clients, &updated),
            AppEvent::ClientRevoked(revoked) => {
                Ok(remove(&mut self.clients, required(revoked.id.as_ref(), "the client")?))
            }
            AppEvent::WorkflowAdded(added) => {
                let name = required(added.name.as_ref(), "the name of a workflow")?;
                let id = added.workflow_id.0.as_ref().map_or(EMPTY_ID, Text::as_str);
                let is_new = !self.workflows.contains_key(id);
                Ok(is_new && set(&mut self.workflows, id, workflow::of_name(name)))
            }
            AppEvent::WorkflowUpdated(updated) => self.update_workflow(updated),
            AppEvent::WorkflowDeleted(deleted) => {
                let id = deleted.workflow_id.0.as_ref().map_or(EMPTY_ID, Text::as_str);
                Ok(remove(&mut self.workflows, id))
            }
            AppEvent::RoleAdded(added) => roles::add(&mut self.roles, added.name.as_ref()),
            AppEvent::RoleUpdated(updated) => roles::update(&mut self.roles, updated),
            AppEvent::RoleDeleted(deleted) => {
                let nameless = || FoldError::Refused("the name of a role is null".into());
                Ok(remove(&mut self.roles, deleted.name.as_ref().map(Text::as_str).ok_or_else(nameless)?))
            }
            AppEvent::LanguageAdded(added) => {
                self.languages.set(&code(added.language.as_ref())?, Language::default())
            }
            AppEvent::LanguageRemoved(removed) => self.languages.remove(&code(removed.language.as_ref())?),
            AppEvent::LanguageUpdated(updated) => self.update_language(&updated),
            AppEvent::PatternAdded(pattern) => self.set_pattern(&pattern, false),
            AppEvent::PatternUpdated(pattern) => self.set_pattern(&pattern, true),
            AppEvent::Ignored => Ok(false),
        }
    }

    /// Sets id and name; all else stays, should there be an app already.
    fn create(&mut self, base: &Base<'_>, name: Option<&Text<'_>>) -> Result<bool, FoldError> {
        let app = base.app_id.as_ref().ok_or(FoldError::Missing("appId"))?;
        let (id, _) = named_id_parts(app.0.as_str());
        self.frame.id = Some(id.to_owned());
        self.name = name.map(|name| name.as_str().to_owned());
        Ok(true)
    }

    /// Sets each text that is given and differs in more than case.
    fn annotate(&mut self, event: &AppUpdated<'_>) -> bool {
        let mut changed = false;
        for (text, new) in [(&mut self.label, &event.label), (&mut self.description, &event.description)] {
            let Some(new) = new.as_ref().map(Text::as_str) else { continue };
            if !text.as_deref().is_some_and(|old| eq_ignore_case(old, new)) {
                *text = Some(new.to_owned());
                changed = true;
            }
        }
        changed
    }

    fn set_settings(&mut self, settings: Value) -> bool {
        !settings.is_null() && replace(&mut self.settings, settings)
    }

    /// Puts a pattern at the end, in place of an equal one. An update also shows what was hidden.
    fn set_pattern(&mut self, pattern: &OldPattern<'_>, is_update: bool) -> Result<bool, FoldError> {
        let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        let (name, regex, message) = (text(&pattern.name), text(&pattern.regex), text(&pattern.message));
        let new = settings::of_old_pattern(name.as_deref(), regex.as_deref(), message.as_deref());
        let new = new.map_err(FoldError::Refused)?;
        let listless = || FoldError::Refused("the settings have no patterns".into());
        let former = self.settings.get("patterns").and_then(Value::as_array).ok_or_else(listless)?;
        if former.contains(&Value::Null) {
            return Err(FoldError::Refused("a pattern in the settings is null".into()));
        }
        let is_equal =
            |old: &Value| old.get("name") == new.get("name") && old.get("regex") == new.get("regex");
        let others = former.iter().filter(|old| !is_equal(old)).cloned();
        let patterns: Vec<Value> = others.chain(std::iter::once(new.clone())).collect();
        let mut settings = if is_update { typed::empty(settings::SETTINGS) } else { self.settings.clone() };
        if let Some(members) = settings.as_object_mut() {
            members.insert("patterns".to_owned(), patterns.into());
            let editors = self.settings.get("editors").cloned().unwrap_or_default();
            members.insert("editors".to_owned(), editors);
        }
        Ok(self.set_settings(settings))
    }

    fn set_image(&mut self, event: &Event<'_>, uploaded: AppImageUploaded<'_>) -> bool {
        let mut image = uploaded.image.0;
        if let Some(etag) = image.get_mut("etag").filter(|etag| etag.is_null()) {
            *etag = format!("{:032x}", derived::of_event(event)).into();
        }
        replace(&mut self.image, image)
    }

    fn update_workflow(&mut self, updated: AppWorkflowUpdated<'_>) -> Result<bool, FoldError> {
        let workflow = updated.workflow.0;
        if workflow.is_null() {
            return Err(FoldError::Refused("a workflow is null".into()));
        }
        // The empty id is that of the only workflow of old.
        let id = updated.workflow_id.0.as_ref().map_or(EMPTY_ID, Text::as_str);
        let is_known = updated.workflow_id.0.is_none() || self.workflows.contains_key(id);
        Ok(is_known && set(&mut self.workflows, id, workflow))
    }

    fn update_language(&mut self, updated: &AppLanguageUpdated<'_>) -> Result<bool, FoldError> {
        let code = code(updated.language.as_ref())?;
        let fallbacks = updated.fallback.0.as_array().into_iter().flatten();
        let fallbacks = fallbacks.map(|code| code.as_str().map(str::to_owned)).collect();
        let language = Language { fallbacks, is_optional: updated.is_optional };
        let changed = self.languages.set(&code, language)?;
        Ok(updated.is_master && self.languages.make_master(&code)? || changed)
    }

    fn doc(&self) -> Value {
        let mut doc = Map::new();
        let mut insert = |name: &str, value: Value| drop(doc.insert(name.to_owned(), value));
        insert("name", self.name.clone().into());
        insert("label", self.label.clone().into());
        insert("description", self.description.clone().into());
        insert("teamId", self.team_id.clone().into());
        insert("contributors", self.contributors.0.clone().into());
        insert("roles", self.roles.clone().into());
        insert("plan", self.plan.0.clone());
        insert("clients", self.clients.clone().into());
        insert("image", self.image.clone());
        insert("settings", self.settings.clone());
        insert("assetScripts", self.asset_scripts.clone());
        insert("languages", self.languages.value());
        insert("workflows", self.workflows.clone().into());
        insert("isDeleted", self.frame.is_deleted.into());
        self.frame.end_doc(&mut doc);
        Value::Object(doc)
    }

    /// Writes the elements beside `Doc` that have indexes.
    fn write_indexed(&self, document: &mut DocumentWriter<'_>, creator: &str) {
        document.str_or_null("_an", self.name.as_deref());
        let members = self.contributors.0.keys().chain(self.clients.keys()).map(String::as_str);
        write_users(document, std::iter::once(creator).chain(members));
        if let Some(team_id) = &self.team_id {
            document.str("_ti", team_id);
        }
        document.bool("_dl", self.frame.is_deleted);
        self.frame.write_created(document);
    }
}

/// Sets a value, and returns true if it differs from the former one.
fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    let differs = *place != value;
    *place = value;
    differs
}

/// The code of an event's language.
fn code(language: Option<&Text<'_>>) -> Result<String, FoldError> {
    required(language, "the language").map(language::canonical)
}
