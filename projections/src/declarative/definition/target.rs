//! The targets of a projection: collections, their indexes, and what of the state goes into them.

use bson::Bson;

use super::emit::Emit;
use super::handler::{guard, pipeline_of};
use super::needs::Needs;
use super::reader::Part;
use super::source::Item;
use crate::{Direction, IndexDefinition, Target};

pub(super) const KEYS: [&str; 6] = ["collection", "database", "first_unnumbered", "indexes", "emit", "when"];

/// Reads one target: the collection alone, or a table.
pub(super) fn read(part: &Part<'_>) -> Option<(Target, Emit)> {
    if let Item::Value(_) = part.node.item {
        return Some((Target::new(collection(part)?), Emit::default()));
    }
    part.only(&KEYS);
    let Some(named) = part.get("collection") else {
        part.problem("`collection` is missing: generation 1 is that name with a 1 behind it");
        return None;
    };
    let mut target = Target::new(collection(&named)?);
    if let Some(database) = part.get("database").and_then(|database| database.text()) {
        target = target.in_database(database);
    }
    if part.get("first_unnumbered").and_then(|first| first.truth()) == Some(true) {
        target = target.first_unnumbered();
    }
    if let Some(indexes) = part.get("indexes") {
        for index in indexes.items() {
            target = target.index(self::index(&index)?);
        }
    }
    let (mut pipeline, mut condition, mut needs) = (None, None, Needs::default());
    if let Some(stages) = part.get("emit") {
        no_event(&stages);
        pipeline = Some(pipeline_of(&stages, &mut needs)?);
    }
    if let Some(when) = part.get("when") {
        no_event(&when);
        condition = Some(guard(&when, &mut needs)?);
    }
    Some((target, Emit::new(condition, pipeline, needs)))
}

/// A snapshot is made of the whole state: no single event is there then.
fn no_event(part: &Part<'_>) {
    for (line, text) in part.node.texts() {
        if text == "$$event" || text.starts_with("$$event.") {
            part.problem_at(line, format!("`{text}` isn't known here: a snapshot is made from the state"));
        }
    }
}

fn collection(part: &Part<'_>) -> Option<String> {
    let name = part.text()?;
    let is_wrong = name.is_empty() || name.contains(['$', '\0']) || name.starts_with("system.");
    if is_wrong || name.len() > 100 {
        part.problem("no collection can have this name");
        return None;
    }
    if name.ends_with(|last: char| last.is_ascii_digit()) {
        part.problem("the name ends in a digit, and the number of a generation follows it");
        return None;
    }
    Some(name.to_owned())
}

/// An index: `{ owner = 1 }`, or `{ keys = { owner = 1 }, unique = true }`.
fn index(part: &Part<'_>) -> Option<IndexDefinition> {
    let keys = part.get("keys").filter(|keys| matches!(keys.node.item, Item::Table(_)));
    let is_long = keys.is_some();
    if is_long {
        part.only(&["keys", "unique"]);
    }
    let keys = keys.unwrap_or_else(|| part.clone());
    let mut fields = Vec::new();
    for (name, direction) in keys.members() {
        fields.push((
            name.to_owned(),
            match direction.bson()? {
                Bson::Int32(1) => Direction::Ascending,
                Bson::Int32(-1) => Direction::Descending,
                _ => {
                    direction.problem("1 is ascending, -1 descending; there are no other kinds");
                    return None;
                }
            },
        ));
    }
    if fields.is_empty() {
        part.problem("an index needs a field, as `{ owner = 1 }`");
        return None;
    }
    let index = IndexDefinition::of(fields);
    let unique = part.get("unique").filter(|_| is_long).and_then(|unique| unique.truth());
    Some(if unique == Some(true) { index.unique() } else { index })
}
