//! The projections of Squidex: its events, its rules and its snapshot format.
//!
//! A projection file ([`Assets`], [`Contents`], [`Apps`], …) holds the rules of one aggregate. Assets,
//! folders and contents are many: `entity` holds the rules they share, and keeps their states small; `event`
//! names event types, `payload` and `legacy` hold their properties as Squidex reads them from JSON. Apps,
//! teams, schemas and rules are few, and stored as one JSON value beside some indexed elements: `frame` holds
//! the rules they share, `typed` reads the JSON trees in their events, `doc` writes theirs. `shard` says
//! which of several collections has an object, `registry` puts all together; the other files are value
//! formats. Nothing in here knows how events are read or where snapshots go.
//!
//! Invariant: an event that Squidex can read is read the same way; one that it can't read makes its
//! stream a failed stream, it is never guessed.

mod app;
mod asset;
mod asset_folder;
mod content;
mod derived;
mod discriminator;
mod doc;
mod entity;
mod event;
mod frame;
mod id;
mod json;
mod language;
mod legacy;
mod membership;
mod packed;
mod payload;
mod quick;
mod registry;
mod rule;
mod schema;
mod shard;
mod tags;
mod team;
mod text;
mod time;
mod typed;
mod value;

pub use app::Apps;
pub use asset::Assets;
pub use asset_folder::AssetFolders;
pub use content::{Contents, DedicatedSchema};
pub use doc::ValueRepresentation;
pub use registry::{SquidexOptions, registry, registry_with};
pub use rule::{Rules, UnknownSteps};
pub use schema::Schemas;
pub use shard::shard;
pub use team::Teams;
