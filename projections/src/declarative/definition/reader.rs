//! Reads tables of a definition: what may be in them, and all that is wrong at once.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::source::{Item, Node};
use crate::declarative::error::CompileError;
use crate::declarative::nearest::nearest;

/// Something that is wrong with a definition file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Name of the file, as it was given.
    pub file: String,
    /// Number of the line, from 1 on.
    pub line: usize,
    /// The way to the part that is wrong, as `Shelves.on.Filled.$push`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// The nearest name that would be right, if one is near.
    pub meant: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, path, what, meant } = self;
        write!(formatter, "{file}:{line}: ")?;
        if !path.is_empty() {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(what)?;
        match meant {
            Some(meant) => write!(formatter, "; did you mean `{meant}`?"),
            None => Ok(()),
        }
    }
}

/// All problems found so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Problems {
    file: Rc<str>,
    found: Rc<RefCell<Vec<Problem>>>,
}

impl Problems {
    /// None yet, for a file.
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.into(), found: Rc::default() }
    }

    /// Notes a problem.
    pub(super) fn add(&self, line: usize, path: &str, what: impl Into<String>, meant: Option<String>) {
        let (file, path, what) = (self.file.to_string(), path.to_owned(), what.into());
        self.found.borrow_mut().push(Problem { file, line, path, what, meant });
    }

    /// What was found, in the order of the lines.
    pub(super) fn take(&self) -> Vec<Problem> {
        let mut found = self.found.take();
        found.sort_by_key(|problem| problem.line);
        found.dedup();
        found
    }
}

/// A part that is being read, with its way.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    problems: Problems,
}

impl<'a> Part<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, problems: &Problems) -> Self {
        Self { node, path: String::new(), problems: problems.clone() }
    }

    /// Notes a problem of this part.
    pub(super) fn problem(&self, what: impl Into<String>) {
        self.problems.add(self.node.line, &self.path, what, None);
    }

    /// Notes a name that isn't known, with the nearest one that is.
    pub(super) fn unknown<'n>(&self, what: &str, name: &str, known: impl Iterator<Item = &'n str>) {
        self.problems.add(self.node.line, &self.path, what, nearest(name, known));
    }

    /// Notes a problem at another line of this part.
    pub(super) fn problem_at(&self, line: usize, what: impl Into<String>) {
        self.problems.add(line, &self.path, what, None);
    }

    /// Notes what the compiler says of this part.
    pub(super) fn uncompilable(&self, error: CompileError) {
        let CompileError { at, problem, meant } = error;
        let is_whole = at == "the definition";
        let line = if is_whole { self.node.line } else { self.node.line_of(&at) };
        let dot = if is_whole || at.starts_with('[') { "" } else { "." };
        let path = if is_whole { self.path.clone() } else { format!("{}{dot}{at}", self.path) };
        self.problems.add(line, &path, problem, meant);
    }

    fn within(&self, name: &str, node: &'a Node) -> Self {
        let path = match (self.path.as_str(), name.starts_with('[')) {
            ("", _) => name.to_owned(),
            (path, true) => format!("{path}{name}"),
            (path, false) => format!("{path}.{name}"),
        };
        Self { node, path, problems: self.problems.clone() }
    }

    /// The same part under another name.
    pub(super) fn named(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// A member of this table.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        self.node.get(name).map(|node| self.within(name, node))
    }

    /// Members of this table, in order; none, and a problem, if it is something else.
    pub(super) fn members(&self) -> Vec<(&'a str, Self)> {
        match &self.node.item {
            Item::Table(members) => {
                members.iter().map(|(name, node)| (name.as_str(), self.within(name, node))).collect()
            }
            _ => {
                self.expected("a table");
                Vec::new()
            }
        }
    }

    /// Items of this array; none, and a problem, if it is something else.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.node.item {
            Item::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(at, node)| self.within(&format!("[{at}]"), node)).collect()
            }
            _ => {
                self.expected("an array");
                Vec::new()
            }
        }
    }

    fn expected(&self, what: &str) {
        self.problem(format!("this is {}, and has to be {what}", self.node.kind()));
    }

    /// Notes each member that isn't one of these.
    pub(super) fn only(&self, known: &[&str]) {
        for (name, member) in self.members() {
            if !known.contains(&name) {
                let meant = nearest(name, known.iter().copied());
                let listed = known.join(", ");
                let what = match meant {
                    Some(_) => "nothing has this name here".to_owned(),
                    None => format!("nothing has this name here; known are {listed}"),
                };
                self.problems.add(member.node.line, &member.path, what, meant);
            }
        }
    }

    /// A text; nothing, and a problem, if it is something else.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.item {
            Item::Value(bson::Bson::String(text)) => Some(text),
            _ => {
                self.expected("a text");
                None
            }
        }
    }

    /// True or false; nothing, and a problem, if it is something else.
    pub(super) fn truth(&self) -> Option<bool> {
        match &self.node.item {
            Item::Value(bson::Bson::Boolean(value)) => Some(*value),
            _ => {
                self.expected("true or false");
                None
            }
        }
    }

    /// A whole number from 1 on; nothing, and a problem, if it is something else.
    pub(super) fn count(&self) -> Option<u32> {
        let number = match &self.node.item {
            Item::Value(bson::Bson::Int32(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            self.expected("a whole number from 1 on");
        }
        number
    }

    /// One of these words; nothing, and a problem, if it is something else.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let meant = nearest(text, known.iter().copied());
            let what = format!("`{text}` isn't one of {}", known.join(", "));
            self.problems.add(self.node.line, &self.path, what, meant);
        }
        found
    }

    /// The value as BSON; nothing, and a problem, if what looks like Extended JSON isn't.
    pub(super) fn bson(&self) -> Option<bson::Bson> {
        let read = self.node.bson();
        read.map_err(|(line, what)| self.problems.add(line, &self.path, what, None)).ok()
    }
}
