//! Trees of fields that a stage computes, keeps or takes away. They go through arrays, item by item.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::error::ApplyError;
use super::expression::Expression;
use super::members::{Members, set};
use super::scope::{Bound, Gaps, Scope};
use super::touched::Touched;

/// Fields to compute, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Computed(Vec<(String, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Computed(Expression),
    Fields(Computed),
}

const CONFLICT: &str = "two of its paths are the same, or one lies within the other";

impl Computed {
    /// Adds a field.
    ///
    /// # Errors
    /// It conflicts with another.
    pub(super) fn add(&mut self, path: &[String], expression: Expression) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else { return Err(CONFLICT.to_owned()) };
        let found = self.0.iter_mut().find(|(name, _)| name == first);
        match (found, rest.is_empty()) {
            (None, true) => self.0.push((first.clone(), Value::Computed(expression))),
            (None, false) => {
                let mut fields = Self::default();
                fields.add(rest, expression)?;
                self.0.push((first.clone(), Value::Fields(fields)));
            }
            (Some((_, Value::Fields(fields))), false) => fields.add(rest, expression)?,
            _ => return Err(CONFLICT.to_owned()),
        }
        Ok(())
    }

    /// Takes the place of what lies above a path that is kept: computed fields beside it come there.
    pub(super) fn reserve(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
        match self.0.iter_mut().find(|(name, _)| name == first) {
            Some((_, Value::Fields(fields))) => fields.reserve(rest),
            Some(_) => {}
            None => {
                let mut fields = Self::default();
                fields.reserve(rest);
                self.0.push((first.clone(), Value::Fields(fields)));
            }
        }
    }

    /// Whether it computes anything.
    fn computes(&self) -> bool {
        self.0.iter().any(|(_, value)| match value {
            Value::Computed(_) => true,
            Value::Fields(fields) => fields.computes(),
        })
    }

    /// Adds the fields that it looks at or sets.
    pub(super) fn touch(&self, touched: &mut Touched) {
        for (name, value) in &self.0 {
            match value {
                Value::Computed(_) => touched.write(name),
                Value::Fields(_) => touched.read(name),
            }
        }
        self.look(touched);
    }

    fn look(&self, touched: &mut Touched) {
        for (_, value) in &self.0 {
            match value {
                Value::Computed(expression) => touched.look(expression),
                Value::Fields(fields) => fields.look(touched),
            }
        }
    }

    /// Computes them.
    ///
    /// # Errors
    /// [`ApplyError`] of an expression.
    pub(super) fn apply(&self, members: &mut dyn Members, scope: &Scope<'_>) -> Result<(), ApplyError> {
        for (name, value) in &self.0 {
            match value {
                Value::Computed(expression) => {
                    let value = expression.evaluate(scope)?.map(Cow::into_owned);
                    put(members, name, value, scope.gaps)?;
                }
                Value::Fields(fields) if !fields.computes() => {}
                Value::Fields(fields) => match members.get_mut(name) {
                    Some(value) => fields.apply_to_value(value, scope)?,
                    None => {
                        let mut inner = Document::new();
                        check(members, name, scope.gaps)?;
                        fields.apply(&mut inner, scope)?;
                        members.add(name, inner.into());
                    }
                },
            }
        }
        Ok(())
    }

    /// Computes everything, then sets it.
    ///
    /// # Errors
    /// [`ApplyError`] of an expression.
    pub(super) fn change(
        &self,
        members: &mut dyn Members,
        bound: &Bound<'_>,
        gaps: &Gaps,
    ) -> Result<(), ApplyError> {
        let mut values = Vec::with_capacity(self.0.len());
        let scope = Scope { root: Some(&*members), bound, frame: None, gaps: Some(gaps) };
        if self.compute(Some(&*members), &scope, &mut values)? {
            return self.put(members, &mut values.into_iter(), gaps);
        }
        // It goes through an array, item by item.
        let before = members.copy();
        self.apply(members, &Scope { root: Some(&before), bound, frame: None, gaps: Some(gaps) })
    }

    /// Computes all values, in order, for a part of the document. False if there is an array on the way.
    fn compute(
        &self,
        part: Option<&dyn Members>,
        scope: &Scope<'_>,
        values: &mut Vec<Option<Bson>>,
    ) -> Result<bool, ApplyError> {
        for (name, value) in &self.0 {
            match value {
                Value::Computed(expression) => {
                    values.push(expression.evaluate(scope)?.map(Cow::into_owned));
                }
                Value::Fields(fields) if !fields.computes() => {}
                Value::Fields(fields) => {
                    let within = match part.and_then(|part| part.get(name)) {
                        Some(Bson::Array(_)) => return Ok(false),
                        Some(Bson::Document(within)) => Some(within as &dyn Members),
                        _ => None,
                    };
                    if !fields.compute(within, scope, values)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Sets computed values, in the same order.
    fn put(
        &self,
        members: &mut dyn Members,
        values: &mut impl Iterator<Item = Option<Bson>>,
        gaps: &Gaps,
    ) -> Result<(), ApplyError> {
        for (name, value) in &self.0 {
            match value {
                Value::Computed(_) => put(members, name, values.next().flatten(), Some(gaps))?,
                Value::Fields(fields) if !fields.computes() => {}
                Value::Fields(fields) => match members.get_mut(name) {
                    Some(Bson::Document(within)) => fields.put(within, values, gaps)?,
                    other => {
                        let is_there = other.is_some();
                        let mut within = Document::new();
                        fields.put(&mut within, values, gaps)?;
                        if !is_there {
                            check(members, name, Some(gaps))?;
                        }
                        set(members, name, within.into());
                    }
                },
            }
        }
        Ok(())
    }

    fn apply_to_value(&self, value: &mut Bson, scope: &Scope<'_>) -> Result<(), ApplyError> {
        match value {
            Bson::Document(document) => self.apply(document, scope),
            Bson::Array(items) => items.iter_mut().try_for_each(|item| self.apply_to_value(item, scope)),
            scalar => {
                let mut document = Document::new();
                self.apply(&mut document, scope)?;
                *scalar = Bson::Document(document);
                Ok(())
            }
        }
    }
}

/// Sets a computed value; one that is missing takes the member away.
fn put(
    members: &mut dyn Members,
    name: &str,
    value: Option<Bson>,
    gaps: Option<&Gaps>,
) -> Result<(), ApplyError> {
    match (value, members.get_mut(name)) {
        (Some(value), Some(own)) => *own = value,
        (Some(value), None) => {
            check(members, name, gaps)?;
            members.add(name, value);
        }
        (None, _) => {
            if let Some(gaps) = gaps {
                gaps.leave(name);
            }
            members.remove(name);
        }
    }
    Ok(())
}

/// Fails if a member that isn't there may have a place.
fn check(members: &dyn Members, name: &str, gaps: Option<&Gaps>) -> Result<(), ApplyError> {
    match gaps {
        Some(gaps) if members.get(name).is_none() => gaps.check(name).map_err(|fault| fault.of("$set")),
        _ => Ok(()),
    }
}

/// Fields to keep, or to take away.
#[derive(Debug, Clone, Default)]
pub(super) struct Projected(Vec<(String, Shown)>);

/// A field that is kept or taken away, or something within it, or nothing of it.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    Is,
    Fields(Projected),
}

impl Projected {
    /// Adds a path.
    ///
    /// # Errors
    /// It conflicts with another.
    pub(super) fn add(&mut self, path: &[String], shown: Shown) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else { return Err(CONFLICT.to_owned()) };
        let found = self.0.iter_mut().find(|(name, _)| name == first);
        match (found, rest.is_empty()) {
            (None, true) => self.0.push((first.clone(), shown)),
            (None, false) => {
                let mut fields = Self::default();
                fields.add(rest, shown)?;
                self.0.push((first.clone(), Shown::Fields(fields)));
            }
            (Some((_, Shown::Fields(fields))), false) => fields.add(rest, shown)?,
            _ => return Err(CONFLICT.to_owned()),
        }
        Ok(())
    }

    /// Makes room for a computed path: what lies above it is kept as far as it is an object.
    pub(super) fn add_parents(&mut self, path: &[String]) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        match self.0.iter_mut().find(|(name, _)| name == first) {
            Some((_, Shown::Is)) => Err(CONFLICT.to_owned()),
            Some((_, Shown::Fields(_))) if rest.is_empty() => Err(CONFLICT.to_owned()),
            Some((_, Shown::Fields(fields))) => fields.add_parents(rest),
            None if rest.is_empty() => Ok(()),
            None => {
                let mut fields = Self::default();
                fields.add_parents(rest)?;
                self.0.push((first.clone(), Shown::Fields(fields)));
                Ok(())
            }
        }
    }

    /// Whether a name of the top is among them.
    pub(super) fn has(&self, wanted: &str) -> bool {
        self.0.iter().any(|(name, _)| name == wanted)
    }

    fn find(&self, wanted: &str) -> Option<&Shown> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, shown)| shown)
    }

    /// Adds the fields.
    pub(super) fn touch(&self, touched: &mut Touched) {
        self.0.iter().for_each(|(name, _)| touched.read(name));
    }

    /// Takes them away.
    pub(super) fn exclude(&self, members: &mut dyn Members, gaps: &Gaps) {
        for (name, shown) in &self.0 {
            match shown {
                Shown::Is => {
                    gaps.leave(name);
                    members.remove(name);
                }
                Shown::Fields(fields) => {
                    if let Some(value) = members.get_mut(name) {
                        fields.exclude_from(value, gaps);
                    }
                }
            }
        }
    }

    fn exclude_from(&self, value: &mut Bson, gaps: &Gaps) {
        match value {
            Bson::Document(document) => self.exclude(document, gaps),
            Bson::Array(items) => items.iter_mut().for_each(|item| self.exclude_from(item, gaps)),
            _ => {}
        }
    }

    /// A document of them only, in its order. What isn't kept within them leaves a gap, which a computed
    /// field may still fill.
    pub(super) fn include(&self, document: &Document) -> Document {
        let mut kept = Document::new();
        for (name, value) in document {
            match self.find(name) {
                Some(Shown::Is) => drop(kept.insert(name.as_str(), value.clone())),
                Some(Shown::Fields(fields)) => {
                    kept.insert(name.as_str(), fields.include_of(value).unwrap_or(Bson::Undefined));
                }
                None => {}
            }
        }
        kept
    }

    fn include_of(&self, value: &Bson) -> Option<Bson> {
        match value {
            Bson::Document(document) => Some(Bson::Document(self.include(document))),
            Bson::Array(items) => {
                let kept = items.iter().map(|item| self.include_of(item).unwrap_or(Bson::Undefined));
                Some(Bson::Array(kept.collect()))
            }
            _ => None,
        }
    }

    /// Removes the gaps that remained; returns true if there was one in an array.
    pub(super) fn drop_gaps(&self, document: &mut Document, gaps: &Gaps) -> bool {
        let mut found = false;
        for (name, shown) in &self.0 {
            if matches!(document.get(name), Some(Bson::Undefined)) {
                document.remove(name);
            }
            if matches!(shown, Shown::Fields(_)) && !document.contains_key(name) {
                gaps.leave(name);
            }
            if let (Shown::Fields(fields), Some(value)) = (shown, document.get_mut(name)) {
                found |= fields.drop_gaps_of(value, gaps);
            }
        }
        found
    }

    fn drop_gaps_of(&self, value: &mut Bson, gaps: &Gaps) -> bool {
        match value {
            Bson::Document(document) => self.drop_gaps(document, gaps),
            Bson::Array(items) => {
                let before = items.len();
                items.retain(|item| !matches!(item, Bson::Undefined));
                let mut found = before != items.len();
                for item in items {
                    found |= self.drop_gaps_of(item, gaps);
                }
                found
            }
            _ => false,
        }
    }
}
