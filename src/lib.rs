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

mod application;
pub mod cli;
pub mod config;
mod engine;
pub mod error;
pub mod fixture;
pub mod fold;
#[cfg(feature = "http")]
pub mod http;
pub mod lifecycle;
pub mod observe;
#[cfg(feature = "cli")]
mod operator;
pub mod pipeline;
pub mod plan;
pub mod store;

pub use statefold_projections as projections;
pub use statefold_projections::squidex;

pub use application::active_generation;
pub use application::{ActiveHandle, Reading, follow_active};
pub use application::{Appended, EventWriter, Expected, NewEvent, Payload};
pub use application::{Hook, Migrate, Outcome, migrate};
pub use application::{Instance, instances, register_instance};
pub use config::{CleanupSettings, LeaseSettings, Throttle, Settings, Tuning};
pub use engine::capacity::CapacityPlan;
pub use engine::pass::PassReport;
pub use engine::run::{Built, CutOver, Rebuild, RebuildReport};
pub use engine::running::Running;
pub use engine::sweep::{CleanupItem, CleanupKind, CleanupReport};
pub use engine::verify::{Difference, Kind, Verified};
pub use error::{Class, Error, Result};
pub use fold::FieldDifference;
pub use lifecycle::{Behind, CutOverMode, Share, Verify};
pub use observe::{Doing, InstanceRow, Leader, Phase, Progress};
pub use operator::{Aborted, abort};
pub use operator::{Adopt, AdoptReport, adopt};
pub use operator::{BuildingStatus, Lag, LockStatus, ProjectionStatus, Standing, StatusReport, status};
pub use operator::{Cleanup, Purge, cleanup, purge};
pub use operator::{FailedStreamDetails, FailedStreamRow, failed_stream, failed_streams};
pub use operator::{Follow, FollowReport, Followed, follow};
pub use operator::{Healed, LeftOut, RetryReport, retry_failed_streams};
pub use operator::{LockReport, lock_state, release_lock};
pub use operator::{MissingRight, PassPlan, PlanReport, ProjectionPlan, Resumable, preview};
pub use operator::{PausedBuild, pause, resume};
pub use operator::{ReadOnlyReport, read_only_off, read_only_on, read_only_status};
pub use operator::{Verification, VerifyReport, verify};
pub use operator::{cutover, rebuild, rollback};
pub use plan::{NaturalBy, Strategy};
pub use store::{ActiveGeneration, Fence, FenceKind};
