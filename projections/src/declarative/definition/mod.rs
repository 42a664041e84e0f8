//! Definition files: a layout, projections and their tests, as TOML or JSON.
//!
//! ```
//! use statefold_projections::declarative::{Definitions, Format, Outcome};
//!
//! let definitions = Definitions::parse("shelves.toml", r#"
//!     [[projection]]
//!     name = "Shelves"
//!     version = 1
//!     streams = { prefix = "shelf-" }
//!     targets = [ { collection = "States_Shelves", indexes = [ { owner = 1 } ] } ]
//!     [projection.on.Opened]
//!     "$set" = { owner = "$$event.payload.owner" }
//!     "$setOnInsert" = { books = [] }
//!     [[projection.test]]
//!     given = [ { type = "Opened", payload = { owner = "a" } } ]
//!     then = { _id = "1", owner = "a", books = [] }
//! "#, Format::Toml).unwrap();
//! assert_eq!(definitions.registry().unwrap().projections().len(), 1);
//! assert!(definitions.run_examples().all(|(_, _, outcome)| outcome == Outcome::Right));
//! ```

mod binding;
mod declared;
mod emit;
mod example;
mod extended;
mod handler;
mod layout;
mod needs;
mod projection;
mod reader;
mod source;
mod state;
mod target;
#[cfg(test)]
mod tests;

pub use declared::Declared;
pub use example::{Example, Outcome};
pub use reader::Problem;
pub use source::Format;
pub use state::DeclaredState;

use layout::Store;
use reader::{Part, Problems};
use source::Node;

use crate::{Layout, Projection, Registry, RegistryError};

/// JSON Schema of a definition file, for editors.
pub const SCHEMA: &str = include_str!("schema.json");

/// The projections of one definition file or of several, over one layout.
#[derive(Debug, Clone)]
pub struct Definitions {
    store: Store,
    projections: Vec<(Declared, Vec<Example>)>,
}

impl Definitions {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of its lines.
    pub fn parse(file: &str, text: &str, format: Format) -> Result<Self, Vec<Problem>> {
        let problems = Problems::of(file);
        let node = match Node::parse(text, format) {
            Ok(node) => node,
            Err(malformed) => {
                problems.add(malformed.line, "", malformed.what, None);
                return Err(problems.take());
            }
        };
        let root = Part::root(&node, &problems);
        root.only(&["$schema", "layout", "projection"]);
        let store = root.get("layout").map_or_else(Store::default, |part| layout::read(&part));
        let mut projections = Vec::new();
        let all = root.get("projection").map(|all| all.items()).unwrap_or_default();
        if all.is_empty() {
            root.problem("there is no `[[projection]]` in it");
        }
        let mut registry = Registry::new(store.layout.clone());
        for part in &all {
            let Some(declared) = projection::read(part, &store) else { continue };
            let targets: Vec<&str> =
                declared.spec.targets().iter().map(|target| target.collection()).collect();
            let examples = part.get("test").map(|tests| tests.items()).unwrap_or_default();
            let examples = examples.iter().filter_map(|test| example::read(test, &store, &targets)).collect();
            if let Err(error) = registry.register(declared.clone()) {
                part.problem(error.to_string());
            }
            projections.push((declared, examples));
        }
        let found = problems.take();
        if found.is_empty() { Ok(Self { store, projections }) } else { Err(found) }
    }

    /// Adds those of another file, which has the same layout.
    ///
    /// # Errors
    /// What doesn't fit together, as a sentence.
    pub fn join(&mut self, other: Self) -> Result<(), String> {
        if self.store != other.store {
            return Err("its `[layout]` isn't that of the file before it".to_owned());
        }
        self.projections.extend(other.projections);
        self.registry().map(drop).map_err(|error| error.to_string())
    }

    /// The layout of the event store.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.store.layout
    }

    /// The projections, in the order of the files.
    pub fn projections(&self) -> impl Iterator<Item = &Declared> {
        self.projections.iter().map(|(declared, _)| declared)
    }

    /// A registry of them.
    ///
    /// # Errors
    /// [`RegistryError`] if two of them have one name or one target.
    pub fn registry(&self) -> Result<Registry, RegistryError> {
        let mut registry = Registry::new(self.store.layout.clone());
        for declared in self.projections() {
            registry.register(declared.clone())?;
        }
        Ok(registry)
    }

    /// Runs the tests of the files: name of the projection, test, outcome.
    pub fn run_examples(&self) -> impl Iterator<Item = (&str, &Example, Outcome)> {
        self.projections.iter().flat_map(|(declared, examples)| {
            let run =
                |example| (declared.spec().name(), example, Example::run(example, declared, &self.store));
            examples.iter().map(run)
        })
    }
}
