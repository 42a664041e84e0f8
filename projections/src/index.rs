//! Index definitions as data; the engine creates the indexes after the build.

/// Direction of one field in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `1`
    Ascending,
    /// `-1`
    Descending,
}

impl Direction {
    /// The direction as MongoDB writes it: 1 or -1.
    #[must_use]
    pub fn as_i32(self) -> i32 {
        match self {
            Self::Ascending => 1,
            Self::Descending => -1,
        }
    }
}

/// An index of a target collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefinition {
    keys: Vec<(String, Direction)>,
    unique: bool,
}

impl IndexDefinition {
    /// An index on these fields, not unique.
    ///
    /// ```
    /// use statefold_projections::{Direction::{Ascending, Descending}, IndexDefinition};
    /// let index = IndexDefinition::on([("mt", Descending), ("id", Ascending)]);
    /// assert_eq!(index.name(), "mt_-1_id_1");
    /// ```
    #[must_use]
    pub fn on<const N: usize>(keys: [(&str, Direction); N]) -> Self {
        Self::of(keys.iter().map(|(field, direction)| ((*field).to_owned(), *direction)).collect())
    }

    /// An index on these fields, not unique, for definitions that are read at run time.
    #[must_use]
    pub fn of(keys: Vec<(String, Direction)>) -> Self {
        Self { keys, unique: false }
    }

    /// Makes the index unique.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Fields with their directions, in order.
    #[must_use]
    pub fn keys(&self) -> &[(String, Direction)] {
        &self.keys
    }

    /// Returns true if no two documents may have the same values.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// The name that drivers give by default: fields and directions, joined by `_`.
    #[must_use]
    pub fn name(&self) -> String {
        let parts: Vec<String> =
            self.keys.iter().map(|(field, direction)| format!("{field}_{}", direction.as_i32())).collect();
        parts.join("_")
    }
}
