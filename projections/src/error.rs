//! Errors of a fold, of a commit's shape, and of registering a projection.

use thiserror::Error;

/// Reason why one event, or one finished state, could not be folded. It concerns one stream only.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The payload does not fit its event type: broken JSON or a value of the wrong type.
    #[error("unreadable payload: {0}")]
    Payload(String),
    /// A header is absent or of the wrong type.
    #[error("unreadable header `{0}`")]
    Header(&'static str),
    /// The snapshot needs a value that no event of the stream has set.
    #[error("no event set `{0}`, which every snapshot needs")]
    Missing(&'static str),
    /// The projection refuses the event or the state, for the reason given.
    #[error("{0}")]
    Refused(String),
    /// An element name contains a NUL character, which BSON cannot hold.
    #[error("an element name contains a NUL character")]
    ElementName,
    /// The snapshot is larger than a MongoDB document may be (16 MiB).
    #[error("the snapshot has {0} bytes; MongoDB allows 16777216")]
    TooLarge(usize),
    /// The projection emitted two snapshots of one stream into one target.
    #[error("two snapshots of one stream for target {0}")]
    Duplicate(usize),
    /// The projection emitted into a target its spec does not declare.
    #[error("the spec declares no target {0}")]
    NoSuchTarget(usize),
}

impl FoldError {
    /// Stable short name of the reason, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Payload(_) => "payload",
            Self::Header(_) => "header",
            Self::Missing(_) => "missing_field",
            Self::Refused(_) => "refused",
            Self::ElementName => "element_name",
            Self::TooLarge(_) => "too_large",
            Self::Duplicate(_) | Self::NoSuchTarget(_) => "projection_bug",
        }
    }
}

/// A [`FoldError`] with the event it happened at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {number} ({event_type}): {error}")]
pub struct FoldFailure {
    /// Number of the event in its stream, the first is 0.
    pub number: i64,
    /// Type name as stored; empty if the event was too broken to have one.
    pub event_type: String,
    /// The reason.
    pub error: FoldError,
}

/// A document of the event store that is not a commit of the registered layout.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A field is absent.
    #[error("the commit has no `{0}`")]
    Missing(String),
    /// A field has another BSON type than the layout says.
    #[error("`{field}` of the commit is a {actual}, expected {expected}")]
    Type {
        /// The field.
        field: String,
        /// The expected type.
        expected: &'static str,
        /// The stored type.
        actual: String,
    },
    /// The bytes are not valid BSON.
    #[error("the commit is not valid BSON: {0}")]
    Bson(String),
    /// The stored number of events differs from the length of the array.
    #[error("the commit says it has {stored} events, but holds {actual}")]
    Count {
        /// Value of the count field.
        stored: i64,
        /// Number of entries in the array.
        actual: i64,
    },
}

/// A projection that can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The name is empty or has other characters than letters, digits and `_`.
    #[error("`{0}` is not a projection name: use letters, digits and `_`")]
    Name(String),
    /// The version or the first generation is 0.
    #[error("projection {0}: version and first generation start at 1")]
    Version(String),
    /// The projection has no target collection.
    #[error("projection {0} has no target collection")]
    NoTarget(String),
    /// The projection has more targets than are allowed.
    #[error("projection {0} has more than 64 target collections")]
    TooManyTargets(String),
    /// The name is registered already; case doesn't matter.
    #[error("projection {0} is registered twice")]
    DuplicateName(String),
    /// The steps of the application's version don't ascend.
    #[error("version {version} can't follow version {former}: steps ascend, from 1 on")]
    Step {
        /// The version of the step.
        version: i32,
        /// The version of the step before.
        former: i32,
    },
    /// The former version isn't older than the registered one, is registered already, or has other
    /// targets.
    #[error("version {version} of {name} can't be a former one of version {current}")]
    Former {
        /// The name.
        name: String,
        /// The refused version.
        version: u32,
        /// The registered version.
        current: u32,
    },
    /// Two targets would write to the same collection.
    #[error("target collection {collection} belongs to {first} and to {second}")]
    DuplicateTarget {
        /// The collection.
        collection: String,
        /// The projection that registered it first.
        first: String,
        /// The projection that registers it again.
        second: String,
    },
    /// A required projection is not registered.
    #[error("projection {0} requires {1}, which is not registered")]
    Requires(String, String),
    /// A projection requires itself.
    #[error("projection {0} requires itself")]
    Circle(String),
    /// No projection has this name.
    #[error("there is no projection {name}; registered are {known}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The registered names.
        known: String,
    },
}
