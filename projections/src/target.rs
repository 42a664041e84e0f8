//! The collections that a projection writes to, and the names of their generations.

use crate::IndexDefinition;

/// A collection that a projection writes to, without the number of the generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    collection: String,
    /// Length of the part of the name that the number follows.
    stem_bytes: usize,
    first_unnumbered: bool,
    database: Option<String>,
    indexes: Vec<IndexDefinition>,
}

impl Target {
    /// A target whose generations are `{collection}{number}`.
    #[must_use]
    pub fn new(collection: impl Into<String>) -> Self {
        let collection = collection.into();
        Self {
            stem_bytes: collection.len(),
            collection,
            first_unnumbered: false,
            database: None,
            indexes: Vec::new(),
        }
    }

    /// Adds what follows the number in the names of generations, as `_0` for one of several shards:
    /// `States_Assets3_0`.
    #[must_use]
    pub fn with_suffix(mut self, suffix: &str) -> Self {
        self.collection.push_str(suffix);
        self
    }

    /// Lets generation 1 be the collection without a number, for an application that began without one.
    #[must_use]
    pub fn first_unnumbered(mut self) -> Self {
        self.first_unnumbered = true;
        self
    }

    /// Puts all collections of this target into another database of the same server. Pointers have their
    /// names alone, which tell them from others: no collection of the event store's database is to begin
    /// with [the same](Self::parts).
    #[must_use]
    pub fn in_database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Adds an index.
    #[must_use]
    pub fn index(mut self, index: IndexDefinition) -> Self {
        self.indexes.push(index);
        self
    }

    /// Name without a number: `States_Assets`, or `States_Assets_0` with a suffix.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The part of the name before the number, and the part behind it.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.collection.split_at_checked(self.stem_bytes).unwrap_or((&self.collection, ""))
    }

    /// Name of a generation: `States_Assets3`.
    #[must_use]
    pub fn generation(&self, generation: u32) -> String {
        if generation == 1 && self.first_unnumbered {
            return self.collection.clone();
        }
        let (stem, suffix) = self.parts();
        format!("{stem}{generation}{suffix}")
    }

    /// Number of the generation with this name; `None` if it isn't one of this target.
    ///
    /// ```
    /// use statefold_projections::Target;
    /// let (apps, shard) =
    ///     (Target::new("Apps").first_unnumbered(), Target::new("Assets").with_suffix("_0"));
    /// assert_eq!(apps.number_of("Apps12"), Some(12));
    /// assert_eq!(apps.number_of("Apps"), Some(1));
    /// assert_eq!(shard.number_of("Assets3_0"), Some(3));
    /// assert_eq!(shard.number_of("Assets3_1"), None);
    /// assert_eq!(shard.number_of("Assets_0"), None);
    /// ```
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<u32> {
        if name == self.collection && self.first_unnumbered {
            return Some(1);
        }
        let (stem, suffix) = self.parts();
        let digits = name.strip_prefix(stem)?.strip_suffix(suffix)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    }

    /// The [other database](Self::in_database); `None` if it is that of the event store.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The indexes, without the one on `_id`.
    #[must_use]
    pub fn indexes(&self) -> &[IndexDefinition] {
        &self.indexes
    }
}
