//! One case: a document, an update, an event; and what became of it.

use std::fmt::{self, Display};

use bson::{Bson, Document, RawDocumentBuf, doc};
use statefold_projections::declarative::{ApplyError, Bound, Plan};

/// An update, as it is here, and as the server is given it.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    Pipeline(Vec<Bson>),
    Operators { here: Document, there: Document, filters: Vec<Document> },
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The document, without its `_id`; none if the update makes it.
    pub(crate) before: Option<Document>,
    pub(crate) update: Update,
    pub(crate) payload: Document,
    /// What is counted: an operator and the types it meets.
    pub(crate) operator: String,
    pub(crate) types: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Document(Document),
    Error(String),
    /// Ours only: refused by name.
    Refused(String),
}

impl Outcome {
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Document(document) => format!("{document:?}"),
            Self::Error(reason) => format!("error: {reason}"),
            Self::Refused(reason) => format!("refused: {reason}"),
        }
    }
}

impl Case {
    fn event(&self) -> Document {
        let headers = doc! { "Timestamp": "t" };
        doc! { "payload": self.payload.clone(), "headers": headers, "type": "Happened", "number": 7_i64 }
    }

    /// The outcome here.
    pub(crate) fn run(&self) -> Outcome {
        let plan = match &self.update {
            Update::Pipeline(stages) => Plan::pipeline(stages),
            Update::Operators { here, filters, .. } => Plan::update(here, filters),
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) if error.problem.contains("refused") || error.problem.contains("supported") => {
                return Outcome::Refused(error.to_string());
            }
            Err(error) => return Outcome::Error(error.to_string()),
        };
        let mut document = doc! { "_id": "k" };
        document.extend(self.before.clone().unwrap_or_default());
        let bound = Bound::new(self.event(), doc! { "key": "key" });
        let stored = RawDocumentBuf::try_from(&document).unwrap();
        let applied = plan.apply(&mut document, &bound, self.before.is_none());
        // What is changed in the encoded document is what is changed in the decoded one, and fails alike.
        let changed = plan.apply_encoded(&stored, &bound, self.before.is_none());
        let expected = applied.clone().map(|()| RawDocumentBuf::try_from(&document).unwrap());
        assert_eq!(changed, expected, "encoded: {self}");
        match applied {
            Ok(()) => Outcome::Document(document),
            Err(ApplyError::Refused { operator, reason }) => {
                Outcome::Refused(format!("{operator}: {reason}"))
            }
            Err(error) => Outcome::Error(error.to_string()),
        }
    }

    /// The statement for the server.
    pub(crate) fn statement(&self, id: &str) -> Document {
        let mut statement = doc! { "q": { "_id": id }, "upsert": self.before.is_none() };
        match &self.update {
            Update::Pipeline(stages) => {
                statement.insert("u", stages.clone());
                statement.insert("c", doc! { "event": self.event(), "stream": { "key": "key" } });
            }
            Update::Operators { there, filters, .. } => {
                statement.insert("u", there.clone());
                if !filters.is_empty() {
                    statement.insert("arrayFilters", filters.clone());
                }
            }
        }
        statement
    }
}

impl Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, update, payload, .. } = self;
        match update {
            Update::Pipeline(stages) => write!(out, "{:?}", Bson::Array(stages.clone()))?,
            Update::Operators { here, filters, .. } => write!(out, "{here:?} {filters:?}")?,
        }
        write!(out, "\n  before: {before:?}\n  payload: {payload:?}")
    }
}
