//! A compiled update: of operators, or a pipeline.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use super::compile::Compiled;
use super::copied::Copied;
use super::error::{ApplyError, CompileError, Fault};
use super::order::is_equal;
use super::scope::{Bound, Gaps};
use super::stage::Stage;
use super::touched::{Taken, Touched};
use super::update::Update;

/// An update document or an aggregation pipeline, checked and compiled once, applied to many documents.
#[derive(Debug, Clone)]
pub struct Plan {
    kind: Kind,
    touched: Touched,
}

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
        Update::compile(update, array_filters).map(|update| {
            let mut touched = Touched::default();
            update.touch(&mut touched);
            Self { kind: Kind::Update(update), touched }
        })
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
        let stages = compiled.collect::<Result<Vec<_>, _>>()?;
        let mut touched = Touched::default();
        stages.iter().for_each(|stage| stage.touch(&mut touched));
        // Where that is looked after, the whole document is there.
        if touched.has(ID) {
            touched = Touched::all();
        }
        Ok(Self { kind: Kind::Pipeline(stages), touched })
    }

    /// Applies it to a document, for one event. A new document has nothing but its `_id`.
    ///
    /// # Errors
    /// [`ApplyError`] where the server would fail as well, or where its result can't be had. The document
    /// may be half changed then.
    pub fn apply(&self, document: &mut Document, bound: &Bound<'_>, is_new: bool) -> Result<(), ApplyError> {
        let stages = match &self.kind {
            Kind::Update(update) => return update.apply(document, bound, is_new),
            Kind::Pipeline(stages) => stages,
        };
        let id = document.get(ID).cloned();
        let mut result = std::mem::take(document);
        let gaps = Gaps::default();
        for (i, stage) in stages.iter().enumerate() {
            result = stage.apply(result, bound, &gaps, i + 1 == stages.len())?;
        }
        check_names(result.keys().map(String::as_str))?;
        *document = with_id(result, id)?;
        Ok(())
    }
}

impl Plan {
    /// As [`apply`](Self::apply), to an encoded document as a collection has them: the `_id` first, each name
    /// once, and none that begins with `$`. Where all names are in ASCII, no more is decoded than what the
    /// plan looks at or changes.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), or if the document can't be decoded or its fields can't be stored.
    pub fn apply_encoded(
        &self,
        document: &RawDocument,
        bound: &Bound<'_>,
        is_new: bool,
    ) -> Result<RawDocumentBuf, ApplyError> {
        let mut taken = self.touched.take(document)?;
        self.change(&mut taken, bound, is_new)?;
        let mut bytes = Vec::new();
        self.touched.put_back(document, &taken, &mut bytes)?;
        let made = RawDocumentBuf::from_bytes(bytes);
        made.map_err(|error| Fault::Wrong(error.to_string()).of("the document"))
    }

    /// Changes what was taken of a document, or a new one.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub(super) fn change(
        &self,
        taken: &mut Taken<'_>,
        bound: &Bound<'_>,
        is_new: bool,
    ) -> Result<(), ApplyError> {
        let few = match taken {
            Taken::Whole(document) => return self.apply(document, bound, is_new),
            Taken::Part(few) => few,
        };
        match &self.kind {
            Kind::Update(update) => update.apply(few, bound, is_new),
            Kind::Pipeline(stages) => {
                let gaps = Gaps::default();
                stages.iter().try_for_each(|stage| stage.change(few, bound, &gaps))?;
                check_names(few.0.iter().map(|(name, _)| name.as_ref()))
            }
        }
    }

    /// The fields of a document that it looks at or changes.
    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }

    /// What it copies, if it does no more than that.
    pub(super) fn copied(&self) -> Option<Copied> {
        match &self.kind {
            Kind::Pipeline(stages) => match stages.as_slice() {
                [Stage::Replace(expression)] => Copied::by(expression),
                _ => None,
            },
            Kind::Update(_) => None,
        }
    }

    /// Applies a pipeline to an object that isn't a document of a collection: its `_id` is a field as any
    /// other.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub(super) fn reshape(&self, object: &Document, bound: &Bound) -> Result<Document, ApplyError> {
        let Kind::Pipeline(stages) = &self.kind else { return Ok(object.clone()) };
        let (gaps, last) = (Gaps::default(), stages.len());
        let Some((first, others)) = stages.split_first() else { return Ok(object.clone()) };
        let mut made = first.made_of(object, bound, &gaps, last == 1)?;
        for (i, stage) in others.iter().enumerate() {
            made = stage.apply(made, bound, &gaps, i + 2 == last)?;
        }
        Ok(made)
    }
}

fn check_names<'n>(mut names: impl Iterator<Item = &'n str>) -> Result<(), ApplyError> {
    match names.find(|name| name.starts_with('$')) {
        Some(name) => {
            Err(Fault::Wrong(format!("a document can't have the field `{name}`")).of("the pipeline"))
        }
        None => Ok(()),
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
