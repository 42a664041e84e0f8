//! Teams: the fold of their events, and the documents of `States_Teams`.

mod event;

use serde_json::{Map, Value};

use super::doc::{ValueRepresentation, heap_bytes, heap_bytes_of, write_doc};
use super::frame::Frame;
use super::json::Text;
use super::membership::{Contributors, Plan, write_users};
use crate::Direction::Ascending;
use crate::{
    Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};
use event::TeamEvent;

/// Teams, into `States_Teams`.
///
/// Squidex itself writes that collection without a number, which is generation 1, so statefold starts with
/// 2.
#[derive(Debug)]
pub struct Teams {
    spec: Spec,
    values: ValueRepresentation,
}

impl Teams {
    /// The projection, with documents as Squidex writes them by default.
    #[must_use]
    pub fn new() -> Self {
        Self::with_values(ValueRepresentation::default())
    }

    /// The projection, for a Squidex with this setting.
    #[must_use]
    pub fn with_values(values: ValueRepresentation) -> Self {
        let target =
            Target::new("States_Teams").first_unnumbered().index(IndexDefinition::on([("_ui", Ascending)]));
        let streams = StreamFilter::prefix("team-");
        let spec = Spec::new("Teams", 1).first_generation(2).streams(streams).target(target);
        Self { spec: values.of(spec), values }
    }
}

impl Default for Teams {
    fn default() -> Self {
        Self::new()
    }
}

/// The folded state of one team.
#[derive(Debug, Default)]
pub struct Team {
    frame: Frame,
    name: Option<String>,
    contributors: Contributors,
    plan: Plan,
    auth_scheme: Value,
}

impl Projection for Teams {
    type State = Team;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, team: &mut Team, event: &Event<'_>) -> Result<(), FoldError> {
        team.frame.count();
        let Some((base, change)) = TeamEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = base.actor()?;
        // Unlike other objects, a deleted team can be changed.
        let changed = match change {
            TeamEvent::Created(created) => {
                let mut frame = std::mem::take(&mut team.frame);
                frame.create(base.team_id.0.as_ref().map(|id| id.as_str().to_owned()));
                let name = created.name.as_ref().map(|name| name.as_str().to_owned());
                *team = Team { frame, name, ..Team::default() };
                true
            }
            TeamEvent::Updated(updated) => {
                let nameless = || FoldError::Refused("a team was renamed to null".into());
                let name = updated.name.as_ref().map(Text::as_str).ok_or_else(nameless)?;
                let differs = team.name.as_deref() != Some(name);
                if differs {
                    team.name = Some(name.to_owned());
                }
                differs
            }
            TeamEvent::PlanChanged(changed) => team.plan.change(changed.plan_id.as_ref(), actor.as_ref())?,
            TeamEvent::PlanReset => team.plan.reset(),
            TeamEvent::ContributorAssigned(assigned) => {
                let role = assigned.role.as_ref().map(Text::as_str);
                team.contributors.assign(assigned.contributor_id.as_ref(), role)?
            }
            TeamEvent::ContributorRemoved(removed) => {
                team.contributors.remove(removed.contributor_id.as_ref())?
            }
            TeamEvent::AuthChanged(changed) => {
                let differs = team.auth_scheme != changed.scheme.0;
                team.auth_scheme = changed.scheme.0;
                differs
            }
            TeamEvent::Deleted => {
                team.plan.reset();
                team.frame.is_deleted = true;
                true
            }
        };
        if changed {
            team.frame.changed(event, actor.as_ref());
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        team: &Team,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if !team.frame.exists() {
            return Ok(());
        }
        let creator = team.frame.creator().ok_or(FoldError::Missing("actor"))?;
        out.put(0, |document| {
            write_doc(document, self.values, &team.doc());
            team.frame.write_version(document);
            let contributors = team.contributors.0.keys().map(String::as_str);
            write_users(document, std::iter::once(creator).chain(contributors));
            if team.frame.is_deleted {
                document.bool("_dl", true);
            }
            team.frame.write_created(document);
            if let Some(domain) = team.auth_scheme.get("domain").and_then(Value::as_str) {
                document.str("_ad", domain);
            }
        })
    }

    fn state_bytes(&self, team: &Team) -> usize {
        let name = team.name.as_ref().map_or(0, String::capacity);
        let contributors = heap_bytes_of(&team.contributors.0);
        let values = [&team.plan.0, &team.auth_scheme].into_iter().map(heap_bytes).sum::<usize>();
        size_of_val(team) + team.frame.heap_bytes() + name + contributors + values
    }
}

impl Team {
    fn doc(&self) -> Value {
        let mut doc = Map::new();
        doc.insert("name".to_owned(), self.name.clone().into());
        doc.insert("contributors".to_owned(), self.contributors.0.clone().into());
        doc.insert("plan".to_owned(), self.plan.0.clone());
        doc.insert("authScheme".to_owned(), self.auth_scheme.clone());
        doc.insert("isDeleted".to_owned(), self.frame.is_deleted.into());
        self.frame.end_doc(&mut doc);
        Value::Object(doc)
    }
}
