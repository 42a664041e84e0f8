//! Stages of a pipeline: one document becomes another.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::compile::{Compiled, Compiler, unknown_operator};
use super::error::{ApplyError, CompileError, Fault};
use super::expression::Expression;
use super::fields::{Computed, Projected, Shown};
use super::members::Members;
use super::path;
use super::scope::{Bound, Gaps, Scope};
use super::shape::{Mode, projection};
use super::touched::Touched;
use super::value::type_name;

/// A compiled stage.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// `$set`.
    Set(Computed),
    /// `$unset`, or `$project` that takes fields away.
    Exclude(Projected),
    /// `$project` that keeps fields, and computes some.
    Include(Projected, Computed),
    /// `$replaceWith`.
    Replace(Expression),
}

const NAMES: [&str; 6] = ["$set", "$addFields", "$unset", "$project", "$replaceWith", "$replaceRoot"];

impl Stage {
    /// Compiles one stage.
    ///
    /// # Errors
    /// [`CompileError`] at the part that is wrong.
    pub(super) fn compile(stage: &Bson, at: &str) -> Compiled<Self> {
        let single = stage.as_document().filter(|stage| stage.len() == 1);
        let Some((name, argument)) = single.and_then(|stage| stage.iter().next()) else {
            return Err(CompileError::new(at, "a stage is an object with one operator, such as `$set`"));
        };
        let at = format!("{at}.{name}");
        let mut compiler = Compiler::default();
        match name.as_str() {
            "$set" | "$addFields" => {
                let computed = projection(&mut compiler, argument, Mode::Set, &at)?;
                Ok(Self::Set(computed.computed))
            }
            "$unset" => Self::unset(argument, &at),
            "$project" => {
                let shape = projection(&mut compiler, argument, Mode::Project, &at)?;
                Ok(if shape.is_exclusion {
                    Self::Exclude(shape.projected)
                } else {
                    Self::Include(shape.projected, shape.computed)
                })
            }
            "$replaceWith" => compiler.expression(argument, &at).map(Self::Replace),
            "$replaceRoot" => {
                let members = super::compile::named_members(argument, &["newRoot"], &[], &at)?;
                let root = members.get("newRoot").unwrap_or(&Bson::Null);
                compiler.expression(root, &format!("{at}.newRoot")).map(Self::Replace)
            }
            other => Err(unknown_operator(other, &at, NAMES.into_iter(), "a stage of an update")),
        }
    }

    fn unset(argument: &Bson, at: &str) -> Compiled<Self> {
        let single = std::slice::from_ref(argument);
        let list = if let Bson::Array(list) = argument { list.as_slice() } else { single };
        let mut projected = Projected::default();
        for name in list {
            let Bson::String(name) = name else {
                return Err(CompileError::new(at, "it takes the names of fields"));
            };
            let path = path::parse(name).map_err(|problem| CompileError::new(at, problem))?;
            projected.add(&path, Shown::Is).map_err(|problem| CompileError::new(at, problem))?;
        }
        if list.is_empty() {
            return Err(CompileError::new(at, "it takes at least one field"));
        }
        Ok(Self::Exclude(projected))
    }

    /// Adds the fields that it looks at or changes.
    pub(super) fn touch(&self, touched: &mut Touched) {
        match self {
            Self::Set(computed) => computed.touch(touched),
            Self::Exclude(projected) => projected.touch(touched),
            Self::Include(..) | Self::Replace(_) => *touched = Touched::all(),
        }
    }

    /// Changes a document, or the part of it that the stage touches. One that makes another document of it
    /// touches all, and does nothing here.
    ///
    /// # Errors
    /// [`ApplyError`] of an expression.
    pub(super) fn change(
        &self,
        members: &mut dyn Members,
        bound: &Bound<'_>,
        gaps: &Gaps,
    ) -> Result<(), ApplyError> {
        match self {
            Self::Exclude(projected) => projected.exclude(members, gaps),
            Self::Set(computed) => computed.change(members, bound, gaps)?,
            Self::Include(..) | Self::Replace(_) => {}
        }
        Ok(())
    }

    /// The document after the stage, made from one that stays.
    ///
    /// # Errors
    /// [`ApplyError`] of an expression.
    pub(super) fn made_of(
        &self,
        document: &Document,
        bound: &Bound<'_>,
        gaps: &Gaps,
        is_last: bool,
    ) -> Result<Document, ApplyError> {
        match self {
            Self::Replace(expression) => replaced(expression, document, bound, gaps),
            other => other.apply(document.clone(), bound, gaps, is_last),
        }
    }

    /// The document after the stage.
    ///
    /// # Errors
    /// [`ApplyError`] of an expression.
    pub(super) fn apply(
        &self,
        document: Document,
        bound: &Bound<'_>,
        gaps: &Gaps,
        is_last: bool,
    ) -> Result<Document, ApplyError> {
        match self {
            Self::Exclude(_) | Self::Set(_) => {
                let mut document = document;
                self.change(&mut document, bound, gaps)?;
                Ok(document)
            }
            Self::Include(projected, computed) => {
                let mut kept = projected.include(&document);
                computed.apply(
                    &mut kept,
                    &Scope { root: Some(&document), bound, frame: None, gaps: Some(gaps) },
                )?;
                if projected.drop_gaps(&mut kept, gaps) && !is_last {
                    let reason =
                        "it drops items of an array before another stage, which would still see them"
                            .to_owned();
                    return Err(Fault::Refused(reason).of("$project"));
                }
                Ok(kept)
            }
            Self::Replace(expression) => replaced(expression, &document, bound, gaps),
        }
    }
}

fn replaced(
    expression: &Expression,
    document: &Document,
    bound: &Bound<'_>,
    gaps: &Gaps,
) -> Result<Document, ApplyError> {
    let scope = Scope { root: Some(document), bound, frame: None, gaps: Some(gaps) };
    match expression.evaluate(&scope)?.map(Cow::into_owned) {
        Some(Bson::Document(document)) => Ok(document),
        other => {
            let reason = format!("it must be an object, not {}", type_name(other.as_ref()));
            Err(Fault::Wrong(reason).of("$replaceWith"))
        }
    }
}
