//! The event store: read by ranges, by the index and as a change stream; appended to only for an application.

mod append;
mod batch;
mod changes;
mod feed;
mod fixture;
mod natural;
mod sample;
mod source;

pub(crate) use append::Inserted;
pub(crate) use feed::{Behind, Feed, Marker};
pub use fixture::{FixtureReport, FixtureRequest, write_fixture};
pub(crate) use source::{Direction, EventStore};
