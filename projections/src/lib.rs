//! Pure folds of event streams into snapshot documents.
//!
//! A [`Projection`] turns all events of one stream, in order, into at most one snapshot document per
//! [`Target`] collection. This crate holds the trait, its input ([`Event`], [`StreamKey`],
//! [`Lookup`]) and its output ([`Sink`]), the [`Registry`] that an application starts statefold
//! with, a given/then test harness for authors ([`testing`]), and the projections that ship with
//! statefold: [`squidex`].
//!
//! Nothing in here waits, reads a clock, draws a random number or talks to a server: the same events
//! always give the same bytes.

mod chunked;
mod commit;
pub mod declarative;
mod error;
mod event;
mod index;
mod layout;
mod projection;
mod registry;
mod snapshot;
pub mod squidex;
mod states;
mod stream;
mod target;
pub mod testing;
mod walk;
mod writer;

pub use chunked::Chunked;
pub use commit::Commit;
pub use error::{CommitError, FoldError, FoldFailure, RegistryError};
pub use event::{Event, Payload};
pub use index::{Direction, IndexDefinition};
pub use layout::{Layout, OffsetMeaning, Since};
pub use projection::{Lookup, NoLookup, Projection, Reads, Spec};
pub use registry::{Registered, Registry, VersionStep};
pub use snapshot::{SNAPSHOT_BYTES_MAX, Sink, SnapshotBuffer, Snapshots};
pub use states::{Slot, States};
pub use stream::{StreamFilter, StreamKey};
pub use target::Target;
pub use writer::{ArrayWriter, DocumentWriter};
