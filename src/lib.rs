//! Rebuilds the snapshots of event-sourced systems on MongoDB.
//!
//! An event store (append-only commits, as Squidex's `Events2`) is folded by [projections] into a
//! *new* generation of snapshot collections (`States_Assets3`), beside the live ones. Only when the
//! new generation is complete and agrees with the event store does the pointer in the control
//! document name it.
//!
//! ```no_run
//! use statefold::{Rebuild, Settings, squidex};
//!
//! # async fn example() -> statefold::Result<()> {
//! let settings = Settings::new("mongodb://localhost/?replicaSet=rs0", "Squidex")?;
//! let running = statefold::rebuild(&settings, &squidex::registry(), Rebuild::of(["Assets"]));
//! let progress = running.progress();
//! let report = running.await?;
//! for built in &report.projections {
//!     println!("{} is generation {}", built.projection, built.generation);
//! }
//! # drop(progress);
//! # Ok(())
//! # }
//! ```
//!
//! What it is not: an event store, a query layer, or a way to change events. It never writes the
//! event store, but for what an application appends with an [`EventWriter`].
//!
//! Metrics go through the `metrics` facade and logs through `tracing`; the library installs neither
//! a recorder nor a subscriber. Features: `cli` (the command line, [`cli::main`]), `http` (metrics
//! and health checks over HTTP), `exporter` (Prometheus); all are on by default.

mod abort;
mod active;
mod adopt;
mod append;
mod cleanup;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod dead_letters;
pub mod error;
pub mod fixture;
pub mod fold;
mod follow;
mod generation;
#[cfg(feature = "http")]
pub mod http;
mod instances;
mod leader;
pub mod lifecycle;
mod lock;
mod migrate;
pub mod observe;
mod pause;
pub mod pipeline;
pub mod plan;
mod preview;
mod read_only;
mod reading;
mod rebuild;
mod retry;
mod running;
mod status;
pub mod store;
mod survey;
mod verify;

pub use statefold_projections as projections;
pub use statefold_projections::squidex;

pub use abort::{Aborted, abort};
pub use active::{ActiveHandle, Reading, follow_active};
pub use adopt::{Adopt, AdoptReport, adopt};
pub use append::{Appended, EventWriter, Expected, NewEvent, Payload};
pub use cleanup::{Cleanup, CleanupItem, CleanupKind, CleanupReport, Purge, cleanup, purge};
pub use config::{CleanupSettings, LeaseSettings, Politeness, Settings, Tuning};
pub use dead_letters::{DeadLetterDetails, DeadLetterRow, dead_letter, dead_letters};
pub use error::{Class, Error, Result};
pub use fold::FieldDifference;
pub use follow::{Follow, FollowReport, Followed, follow};
pub use instances::{Instance, instances, register_instance};
pub use lifecycle::{Behind, CutOverMode, Share, Verify};
pub use lock::{LockReport, active_generation, lock_state, release_lock};
pub use migrate::{Hook, Migrate, Outcome, migrate};
pub use observe::{Doing, InstanceRow, Leader, Phase, Progress};
pub use pause::{PausedBuild, pause, resume};
pub use plan::{NaturalBy, Strategy};
pub use preview::{MissingRight, PassPlan, PlanReport, ProjectionPlan, Resumable, RoomPlan, preview};
pub use read_only::{ReadOnlyReport, read_only_off, read_only_on, read_only_status};
pub use rebuild::{Built, CutOver, PassReport, Rebuild, RebuildReport, cutover, rebuild, rollback};
pub use retry::{Healed, LeftOut, RetryReport, retry_dead_letters};
pub use running::Running;
pub use status::{BuildingStatus, Lag, LockStatus, ProjectionStatus, Standing, StatusReport, status};
pub use store::{ActiveGeneration, Fence, FenceKind};
pub use verify::{Difference, Kind, Verification, Verified, VerifyReport, verify};
