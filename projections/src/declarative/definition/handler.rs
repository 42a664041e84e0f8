//! What an event of one type does to the state: its update, its condition, whether it creates or deletes.

use bson::{Bson, Document};

use super::needs::Needs;
use super::reader::Part;
use super::source::Item;
use crate::declarative::guard::Guard;
use crate::declarative::plan::Plan;
use crate::declarative::touched::Touched;

/// A compiled `on.<EventType>`.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    /// Whether it makes an object where there is none.
    pub(super) creates: bool,
    /// The event counts only if this holds.
    pub(super) when: Option<Guard>,
    pub(super) action: Action,
    pub(super) needs: Needs,
    /// The fields of the state that condition and update look at or change.
    pub(super) touched: Touched,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Change(Plan),
    Delete,
}

/// A compiled `upcast.<OldType>`.
#[derive(Debug, Clone)]
pub(super) struct Upcast {
    /// The type that it is from then on.
    pub(super) event_type: String,
    /// What reshapes the payload.
    pub(super) reshape: Option<(Plan, Needs)>,
}

pub(super) const KEYS: [&str; 5] = ["pipeline", "array_filters", "delete", "creates", "when"];

/// Reads one handler.
pub(super) fn read(part: &Part<'_>) -> Option<Handler> {
    let (mut update, mut needs) = (Document::new(), Needs::default());
    let operators = part.members().into_iter().filter(|(name, _)| name.starts_with('$'));
    let operators: Vec<_> = operators.collect();
    for (name, member) in &operators {
        update.insert(*name, member.bson()?);
    }
    let others: Vec<&str> = operators.iter().map(|(name, _)| *name).chain(KEYS).collect();
    part.only(&others);
    let delete = part.get("delete").and_then(|delete| delete.truth()).unwrap_or(false);
    let filters = part.get("array_filters");
    let pipeline = part.get("pipeline");
    if usize::from(delete) + usize::from(pipeline.is_some()) + usize::from(!update.is_empty()) != 1 {
        part.problem("it needs one of: update operators as `$set`, or `pipeline`, or `delete = true`");
        return None;
    }
    if let (Some(filters), true) = (&filters, update.is_empty()) {
        filters.problem("array filters go with update operators only");
    }
    let action = match pipeline {
        _ if delete => Action::Delete,
        Some(stages) => Action::Change(pipeline_of(&stages, &mut needs)?),
        None => {
            let filters = filters.map_or_else(|| Some(Vec::new()), |filters| documents(&filters))?;
            needs.add(&Bson::Document(update.clone()));
            filters.iter().for_each(|filter| needs.add(&Bson::Document(filter.clone())));
            let compiled = Plan::update(&update, &filters).map_err(|mut error| {
                // The key of the file, where the compiler has the server's.
                if let Some(rest) = error.at.strip_prefix("arrayFilters") {
                    error.at = format!("array_filters{rest}");
                }
                part.uncompilable(error);
            });
            Action::Change(compiled.ok()?)
        }
    };
    let when = match part.get("when") {
        Some(when) => Some(guard(&when, &mut needs)?),
        None => None,
    };
    let creates = part.get("creates").and_then(|creates| creates.truth()).unwrap_or(false);
    if creates && delete {
        part.problem("an event can't both create and delete");
    }
    let mut touched = when.as_ref().map(Guard::touched).unwrap_or_default();
    if let Action::Change(plan) = &action {
        touched.join(plan.touched());
    }
    Some(Handler { creates, when, action, needs, touched })
}

/// Reads one upcast: the new type alone, or a table.
pub(super) fn read_upcast(part: &Part<'_>) -> Option<Upcast> {
    if let Item::Value(_) = part.node.item {
        return part.text().map(|event_type| Upcast { event_type: event_type.to_owned(), reshape: None });
    }
    part.only(&["type", "pipeline"]);
    let Some(event_type) = part.get("type") else {
        part.problem("`type` is missing: the type that the event is from then on");
        return None;
    };
    let event_type = event_type.text()?.to_owned();
    let reshape = match part.get("pipeline") {
        Some(stages) => {
            let mut needs = Needs::default();
            Some((pipeline_of(&stages, &mut needs)?, needs))
        }
        None => None,
    };
    Some(Upcast { event_type, reshape })
}

/// Compiles a pipeline.
pub(super) fn pipeline_of(part: &Part<'_>, needs: &mut Needs) -> Option<Plan> {
    // What isn't an array is said by its items.
    let _ = part.items();
    let Bson::Array(stages) = part.bson()? else { return None };
    stages.iter().for_each(|stage| needs.add(stage));
    Plan::pipeline(&stages).map_err(|error| part.uncompilable(error)).ok()
}

/// Compiles a condition.
pub(super) fn guard(part: &Part<'_>, needs: &mut Needs) -> Option<Guard> {
    let condition = part.bson()?;
    needs.add(&condition);
    Guard::compile(&condition).map_err(|error| part.uncompilable(error)).ok()
}

fn documents(part: &Part<'_>) -> Option<Vec<Document>> {
    let mut read = Vec::new();
    for item in part.items() {
        match item.bson()? {
            Bson::Document(document) => read.push(document),
            _ => item.problem("a filter is an object"),
        }
    }
    Some(read)
}
