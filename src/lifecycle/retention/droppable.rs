//! The verdict on what a clean-up looks at.

/// Verdict whether something may be dropped, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Droppable {
    /// It may be dropped.
    Yes(String),
    /// A purge drops it although readers use it.
    Active(String),
    /// It has to be kept.
    No(String),
    /// It has to be kept unless this collection is named in full.
    UnlessNamed { name: String, reason: &'static str },
}

impl Droppable {
    /// Whether it may be dropped.
    #[must_use]
    pub(crate) fn is_yes(&self) -> bool {
        matches!(self, Self::Yes(_) | Self::Active(_))
    }

    /// The verdict of a purge on what readers of this projection use.
    pub(crate) fn active(projection: &str) -> Self {
        Self::Active(format!("ACTIVE: readers of {projection} use it"))
    }

    /// The reason.
    #[must_use]
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Yes(reason) | Self::Active(reason) | Self::No(reason) => reason,
            Self::UnlessNamed { reason, .. } => reason,
        }
    }
}

pub(super) fn yes(reason: impl Into<String>) -> Droppable {
    Droppable::Yes(reason.into())
}

pub(super) fn no(reason: impl Into<String>) -> Droppable {
    Droppable::No(reason.into())
}

pub(super) fn unless_named(name: &str, reason: &'static str) -> Droppable {
    Droppable::UnlessNamed { name: name.to_owned(), reason }
}
