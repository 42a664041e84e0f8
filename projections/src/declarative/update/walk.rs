//! Application of an update: along the paths that are there, and by making those that aren't.

use bson::{Bson, Document};

use super::change::{Change, Effect};
use super::filters::Filters;
use super::now::Now;
use super::tree::Node;
use crate::declarative::error::{ApplyError, Fault};
use crate::declarative::members::Members;

/// As many nulls the server fills in before an item.
const GAP_MAX: usize = 1_500_000;

/// Applies an update's tree to documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) filters: &'a Filters,
}

fn failed<T>(at: &str, reason: &str) -> Result<T, ApplyError> {
    Err(Fault::Wrong(reason.to_owned()).of(&format!("`{at}`")))
}

impl Walk<'_> {
    /// Changes the fields of a document.
    pub(super) fn members(
        &self,
        fields: &[(String, Node)],
        members: &mut dyn Members,
        is_in_array: bool,
        now: &mut Now<'_>,
    ) -> Result<(), ApplyError> {
        for (name, node) in fields {
            if is_skipped(node, now)? {
                continue;
            }
            check_rename(node, name, is_in_array)?;
            match members.get_mut(name) {
                Some(value) => {
                    if self.value(node, value, name, is_in_array, now)? == Effect::IsRemoved {
                        members.remove(name);
                    }
                }
                None => {
                    if let Some(value) = self.create(node, name, is_in_array, now)? {
                        members.add(name, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn value(
        &self,
        node: &Node,
        value: &mut Bson,
        at: &str,
        is_in_array: bool,
        now: &mut Now<'_>,
    ) -> Result<Effect, ApplyError> {
        match (node, value) {
            (Node::Taken, _) => {}
            (Node::Change(change, _), value) => return change.change(value, now),
            (Node::Fields(fields), Bson::Document(document)) => {
                self.members(fields, document, is_in_array, now)?;
            }
            (Node::Fields(fields), Bson::Array(items)) => self.items(fields, items, now)?,
            (Node::Fields(fields), _) => {
                for (name, node) in fields {
                    check_viable(node, name, now)?;
                }
            }
            (Node::Items(filter, node), Bson::Array(items)) => {
                for item in items {
                    if self.filters.matches(*filter, item, now)? && !is_skipped(node, now)? {
                        check_rename(node, at, true)?;
                        if self.value(node, item, at, true, now)? == Effect::IsRemoved {
                            *item = Bson::Null;
                        }
                    }
                }
            }
            (Node::Items(..), _) => return failed(at, "it isn't an array"),
        }
        Ok(Effect::Stays)
    }

    fn items(
        &self,
        fields: &[(String, Node)],
        items: &mut Vec<Bson>,
        now: &mut Now<'_>,
    ) -> Result<(), ApplyError> {
        for (name, node) in fields {
            if is_skipped(node, now)? {
                continue;
            }
            let Some(at) = name.parse::<u32>().ok().and_then(|at| usize::try_from(at).ok()) else {
                check_viable(node, name, now)?;
                continue;
            };
            check_rename(node, name, true)?;
            match items.get_mut(at) {
                Some(item) => {
                    if self.value(node, item, name, true, now)? == Effect::IsRemoved {
                        *item = Bson::Null;
                    }
                }
                None => {
                    if let Some(value) = self.create(node, name, true, now)? {
                        if at.saturating_sub(items.len()) > GAP_MAX {
                            return failed(name, "the item is too far beyond the end of its array");
                        }
                        items.resize(at, Bson::Null);
                        items.push(value);
                    }
                }
            }
        }
        Ok(())
    }

    /// The value of a field that isn't there.
    fn create(
        &self,
        node: &Node,
        at: &str,
        is_in_array: bool,
        now: &mut Now<'_>,
    ) -> Result<Option<Bson>, ApplyError> {
        match node {
            Node::Taken => Ok(None),
            Node::Change(change, _) => change.create(now),
            Node::Items(..) => failed(at, "the array isn't there"),
            Node::Fields(fields) => {
                let mut document = Document::new();
                self.members(fields, &mut document, is_in_array, now)?;
                Ok((!document.is_empty()).then_some(Bson::Document(document)))
            }
        }
    }
}

/// Whether it is for new documents only, or its operand is missing.
fn is_skipped(node: &Node, now: &Now<'_>) -> Result<bool, ApplyError> {
    match node {
        Node::Change(_, true) if !now.is_new => Ok(true),
        Node::Change(change, _) => change.is_idle(now),
        _ => Ok(false),
    }
}

fn check_rename(node: &Node, at: &str, is_in_array: bool) -> Result<(), ApplyError> {
    let is_rename = matches!(node, Node::Change(Change::Rename(_), _));
    if is_rename && is_in_array { failed(at, "a field can't be renamed into an array") } else { Ok(()) }
}

/// Fails if a change below a value without fields would have to make one, or insists on the way.
fn check_viable(node: &Node, at: &str, now: &Now<'_>) -> Result<(), ApplyError> {
    if is_skipped(node, now)? {
        return Ok(());
    }
    match node {
        Node::Change(Change::Unset, _) | Node::Taken => Ok(()),
        Node::Change(..) => failed(at, "the path leads through a value without fields"),
        Node::Items(..) => failed(at, "the array isn't there"),
        Node::Fields(fields) => fields.iter().try_for_each(|(name, node)| check_viable(node, name, now)),
    }
}
