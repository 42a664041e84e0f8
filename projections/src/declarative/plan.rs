//! A compiled update: of operators, or a pipeline.

use bson::{Bson, Document};

use super::compile::Compiled;
use super::error::{ApplyError, CompileError, Fault};
use super::order::is_equal;
use super::scope::{Bound, Gaps};
use super::stage::Stage;
use super::update::Update;

/// An update document or an aggregation pipeline, checked and compiled once, applied to many documents.
#[derive(Debug, Clone)]
pub struct Plan(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Update(Update),
    Pipeline(Vec<Stage>),
}

const ID: &str = "_id";

impl Plan {
    /// Compiles an update document, such as `{ "$set": { "a": 1 } }`, with its array filters.
    ///
    /// A string that begins with `$$event.` or `$$stream.` is a variable, also within objects and arrays.
    /// If it is missing, its member of an object is left out, its item of an array is null, and an operator
    /// whose whole operand it is leaves the field alone. `{ "$literal": … }` is the value itself.
    ///
    /// # Errors
    /// [`CompileError`] at the part that is wrong.
    pub fn update(update: &Document, array_filters: &[Document]) -> Compiled<Self> {
        Update::compile(update, array_filters).map(|update| Self(Kind::Update(update)))
    }

    /// Compiles a pipeline of `$set`, `$unset`, `$project` and `$replaceWith`.
    ///
    /// # Errors
    /// [`CompileError`] at the part that is wrong.
    pub fn pipeline(stages: &[Bson]) -> Compiled<Self> {
        if stages.is_empty() {
            return Err(CompileError::new("", "a pipeline needs a stage"));
        }
        let compiled = stages.iter().enumerate().map(|(i, stage)| Stage::compile(stage, &format!("[{i}]")));
        compiled.collect::<Result<_, _>>().map(|stages| Self(Kind::Pipeline(stages)))
    }

    /// Applies it to a document, for one event. A new document has nothing but its `_id`.
    ///
    /// # Errors
    /// [`ApplyError`] where the server would fail as well, or where its result can't be had. The document
    /// may be half changed then.
    pub fn apply(&self, document: &mut Document, bound: &Bound, is_new: bool) -> Result<(), ApplyError> {
        let stages = match &self.0 {
            Kind::Update(update) => return update.apply(document, bound, is_new),
            Kind::Pipeline(stages) => stages,
        };
        let id = document.get(ID).cloned();
        let mut result = std::mem::take(document);
        let gaps = Gaps::default();
        for (i, stage) in stages.iter().enumerate() {
            result = stage.apply(result, bound, &gaps, i + 1 == stages.len())?;
        }
        if let Some(name) = result.keys().find(|name| name.starts_with('$')) {
            let reason = format!("a document can't have the field `{name}`");
            return Err(Fault::Wrong(reason).of("the pipeline"));
        }
        *document = with_id(result, id)?;
        Ok(())
    }
}

impl Plan {
    /// Applies a pipeline to an object that isn't a document of a collection: its `_id` is a field as any
    /// other.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub(super) fn reshape(&self, object: &Document, bound: &Bound) -> Result<Document, ApplyError> {
        let Kind::Pipeline(stages) = &self.0 else { return Ok(object.clone()) };
        let (gaps, last) = (Gaps::default(), stages.len());
        let Some((first, others)) = stages.split_first() else { return Ok(object.clone()) };
        let mut made = first.made_of(object, bound, &gaps, last == 1)?;
        for (i, stage) in others.iter().enumerate() {
            made = stage.apply(made, bound, &gaps, i + 2 == last)?;
        }
        Ok(made)
    }
}

/// The document with the `_id` it had, in front, where the server stores it.
fn with_id(mut result: Document, id: Option<Bson>) -> Result<Document, ApplyError> {
    let Some(id) = id else { return Ok(result) };
    if result.iter().next().is_some_and(|(name, own)| name == ID && *own == id) {
        return Ok(result);
    }
    let own = match result.remove(ID) {
        Some(own) if !is_equal(&own, &id) => {
            return Err(Fault::Wrong("the `_id` can't be changed".to_owned()).of("the pipeline"));
        }
        own => own.unwrap_or(id),
    };
    let mut document = Document::new();
    document.insert(ID, own);
    document.extend(result);
    Ok(document)
}
