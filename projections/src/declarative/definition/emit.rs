//! What of the state goes into a target.

use bson::{Document, RawDocument};

use super::needs::Needs;
use crate::declarative::copied::{Copied, Part};
use crate::declarative::encoded;
use crate::declarative::error::{ApplyError, Fault};
use crate::declarative::guard::Guard;
use crate::declarative::plan::Plan;
use crate::declarative::scope::Bound;
use crate::declarative::touched::Touched;
use crate::{DocumentWriter, StreamKey};

/// What becomes of a state in one target.
#[derive(Debug, Clone, Default)]
pub(super) struct Emit {
    /// There is a snapshot only if this holds for the state.
    when: Option<(Guard, Touched)>,
    /// From the state to the snapshot; the state itself without it.
    pipeline: Option<Plan>,
    /// The pipeline, where it does no more than to copy fields.
    copied: Option<Copied>,
    needs: Needs,
}

/// The members of a snapshot.
#[derive(Debug)]
pub(super) enum Made<'a> {
    /// Members of the state, as they are.
    Copied(Vec<(&'a str, Part<'a>)>),
    /// Computed ones.
    Computed(Document),
}

impl Emit {
    pub(super) fn new(when: Option<Guard>, pipeline: Option<Plan>, needs: Needs) -> Self {
        let when = when.map(|when| {
            let touched = when.touched();
            (when, touched)
        });
        let copied = pipeline.as_ref().and_then(Plan::copied);
        Self { when, pipeline, copied, needs }
    }

    /// The snapshot of a state; none if the target has none of it.
    ///
    /// # Errors
    /// [`ApplyError`] of the condition or the pipeline.
    pub(super) fn snapshot<'a>(
        &'a self,
        state: &'a RawDocument,
        key: &StreamKey<'_>,
    ) -> Result<Option<Made<'a>>, ApplyError> {
        let stream = if self.needs.stream {
            bson::doc! { "key": key.id(), "name": key.stream() }
        } else {
            Document::new()
        };
        let bound = Bound::new(Document::new(), stream);
        if let Some((when, touched)) = &self.when
            && !when.holds(touched.take(state)?.members(), &bound)?
        {
            return Ok(None);
        }
        let copied = match (&self.copied, &self.pipeline) {
            (Some(copied), _) => copied.of(state),
            (None, None) => Copied::all(state),
            (None, Some(_)) => None,
        };
        if let Some(members) = copied {
            return Ok(Some(Made::Copied(members)));
        }
        let decoded = encoded::members(state);
        let members = decoded.map_err(|error| Fault::Wrong(error.to_string()).of("the document"))?;
        Ok(Some(Made::Computed(match &self.pipeline {
            Some(pipeline) => pipeline.reshape(&members, &bound)?,
            None => members,
        })))
    }
}

impl Made<'_> {
    /// Writes all members but the `_id`, and the version under this name.
    pub(super) fn write(&self, writer: &mut DocumentWriter<'_>, version: Option<(&str, i64)>) {
        match self {
            Self::Copied(members) => put(members.iter().map(|(name, part)| (*name, *part)), writer, version),
            Self::Computed(members) => {
                put(members.iter().map(|(name, value)| (name.as_str(), Part::Value(value))), writer, version);
            }
        }
    }
}

fn put<'a>(
    members: impl Iterator<Item = (&'a str, Part<'a>)>,
    writer: &mut DocumentWriter<'_>,
    mut version: Option<(&str, i64)>,
) {
    for (name, part) in members.filter(|(name, _)| *name != "_id") {
        match version.take_if(|(own, _)| *own == name) {
            Some((_, number)) => writer.i64(name, number),
            None => part.write(name, writer),
        }
    }
    if let Some((name, number)) = version {
        writer.i64(name, number);
    }
}
