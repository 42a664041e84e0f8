//! Array filters: which items `$[id]` means.

use bson::{Bson, Document};

use super::condition::Condition;
use super::now::Now;
use crate::declarative::compile::Compiled;
use crate::declarative::error::{ApplyError, CompileError};

/// The filters, each with its identifier.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(Vec<(String, Condition)>);

impl Filters {
    /// Compiles them.
    pub(super) fn compile(filters: &[Document]) -> Compiled<Self> {
        let mut compiled: Vec<(String, Condition)> = Vec::new();
        for (i, filter) in filters.iter().enumerate() {
            let at = format!("arrayFilters[{i}]");
            let name = filter.keys().next().map(String::as_str).unwrap_or_default();
            let id = name.split('.').next().unwrap_or_default().to_owned();
            if !id.starts_with(|first: char| first.is_ascii_lowercase()) {
                let problem = "its fields begin with an identifier in small letters, such as `item.price`";
                return Err(CompileError::new(&at, problem));
            }
            if compiled.iter().any(|(own, _)| *own == id) {
                return Err(CompileError::new(&at, format!("there are two filters of `{id}`")));
            }
            let strip = |path: &str| match path.strip_prefix(id.as_str()) {
                Some("") => Some(String::new()),
                Some(rest) => rest.strip_prefix('.').map(str::to_owned),
                None => None,
            };
            let condition = Condition::of_fields(filter, &at, &strip)?;
            compiled.push((id, condition));
        }
        Ok(Self(compiled))
    }

    /// The number of a filter.
    pub(super) fn find(&self, wanted: &str) -> Option<usize> {
        self.0.iter().position(|(id, _)| id == wanted)
    }

    /// The identifiers.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(id, _)| id.as_str())
    }

    /// Whether an item passes a filter; each passes none.
    pub(super) fn matches(
        &self,
        filter: Option<usize>,
        item: &Bson,
        now: &Now<'_>,
    ) -> Result<bool, ApplyError> {
        let Some(number) = filter else { return Ok(true) };
        match self.0.get(number) {
            Some((_, condition)) => Ok(condition.bind(now)?.is_some_and(|condition| condition.matches(item))),
            None => Ok(false),
        }
    }
}
