//! The paths of an update as a tree, in the order in which the server applies them.

use std::cmp::Ordering;

use super::change::Change;

/// What happens at a path, or below it.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A change; true if only a new document has it.
    Change(Change, bool),
    /// Changes of fields, or of items by number: numbers in their order, names in theirs.
    Fields(Vec<(String, Node)>),
    /// Changes of all items of an array, or of those that pass the filter of this number.
    Items(Option<usize>, Box<Node>),
    /// Where a `$rename` takes a field away: nothing else may change there.
    Taken,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A field, or the number of an item.
    Name(String),
    /// `$[]`, or `$[id]` with the number of its filter.
    Items(Option<usize>),
}

impl Node {
    /// Adds a change at a path.
    ///
    /// # Errors
    /// It conflicts with another.
    pub(super) fn add(&mut self, path: &[Part], leaf: Self) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            return Err("it conflicts with another path".to_owned());
        };
        match (self, first) {
            (Self::Fields(fields), Part::Name(name)) => {
                // The order of numbers and names together isn't one that a search could rely on.
                if let Some((_, node)) = fields.iter_mut().find(|(own, _)| own == name) {
                    return node.add(rest, leaf);
                }
                let at = fields.partition_point(|(own, _)| order(own, name).is_lt());
                fields.insert(at, (name.clone(), Self::at(rest, leaf)?));
                Ok(())
            }
            (Self::Items(filter, node), Part::Items(wanted)) if filter == wanted => node.add(rest, leaf),
            (Self::Items(..), Part::Items(_)) => Err("one array is changed by several filters".to_owned()),
            _ => Err("it conflicts with another path".to_owned()),
        }
    }

    fn at(path: &[Part], leaf: Self) -> Result<Self, String> {
        let Some((first, rest)) = path.split_first() else { return Ok(leaf) };
        Ok(match first {
            Part::Name(name) => Self::Fields(vec![(name.clone(), Self::at(rest, leaf)?)]),
            Part::Items(filter) => Self::Items(*filter, Box::new(Self::at(rest, leaf)?)),
        })
    }
}

fn order(one: &str, other: &str) -> Ordering {
    match (one.parse::<u32>(), other.parse::<u32>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}
