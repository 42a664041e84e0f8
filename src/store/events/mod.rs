//! The event store: read by ranges, through its index and as a change stream; written only by an
//! application's writer and for fixtures.

mod append;
mod batch;
mod change_buffer;
mod changes;
mod feed;
mod fixture;
mod heads;
mod late;
mod look;
mod natural;
mod part;
mod sample;
mod shaped;
mod shards;
mod source;

pub(crate) use append::Inserted;
pub(crate) use feed::{Feed, FeedLag, Marker};
pub(crate) use fixture::FIXTURE_MARKER;
pub use fixture::{FixtureReport, FixtureRequest, write_fixture};
#[cfg(feature = "cli")]
pub(crate) use fixture::{check_fixture, rename_snapshots};
#[cfg(feature = "cli")]
pub(crate) use shaped::check_shape;
pub use shaped::{ShapeRequest, write_shape};
pub(crate) use source::{EventStore, StreamIndex};
