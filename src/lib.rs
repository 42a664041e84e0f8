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
//! It is not an event store, a query layer, or a way to change events. It never writes to the event
//! store, except for events that an application appends with an [`EventWriter`].
//!
//! Metrics go through the `metrics` facade and logs through `tracing`; the library installs neither
//! a recorder nor a subscriber. Features: `cli` (the command line, [`cli::main`]), `http` (metrics,
//! health checks and a [live page](page) over HTTP), `exporter` (Prometheus); all are on by default.

mod application;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod engine;
pub mod error;
pub mod fixture;
#[cfg_attr(
    not(feature = "bench"),
    allow(unreachable_pub, reason = "the hidden feature makes its steps reachable")
)]
mod fold;
#[cfg(feature = "http")]
pub mod http;
mod lifecycle;
mod next_step;
pub mod observe;
mod operator;
#[cfg(feature = "http")]
pub mod page;
mod pipeline;
mod plan;
mod store;

pub use statefold_projections as projections;
pub use statefold_projections::squidex;

// Used by every caller.
pub use config::{CleanupSettings, LeaseSettings, ReadFrom, Settings, Sharing, Throttle, Tuning};
pub use engine::running::Running;
pub use error::{Class, Error, Insistence, Result};
pub use lifecycle::{BuildState, ErrorLimit, Share, Verify};
pub use next_step::NextStep;
pub use observe::{Doing, Leader, Phase, Progress};
pub use plan::{Estimate, NaturalBy, ShardPlan, Strategy, VerifySeconds, WorkersPlan};

// Linked by an application.
pub use application::{ActiveHandle, Reading, active_generation, follow_active};
pub use application::{Appended, EventWriter, Expected, NewEvent, Payload};
pub use application::{Hook, Migrate, Outcome, migrate};
pub use application::{Instance, instances, register_instance};
pub use lifecycle::{Behind, CutOverMode, Fencing, FencingReason};
pub use observe::{InstanceRow, WorkerRow};
pub use store::{ActiveGeneration, Fence, FenceKind, PreviousGeneration, Undrained};

// Operations of an operator, one for each verb of the command line.
pub use engine::capacity::CapacityPlan;
pub use engine::pass::PassReport;
pub use engine::run::{Built, CutOver, Rebuild, RebuildReport, Remark};
pub use engine::sweep::{CleanupItem, CleanupKind, CleanupReport};
pub use engine::verify::{Difference, FieldCount, Kind, Verified};
pub use fold::FieldDifference;
pub use operator::dedicated_contents;
pub use operator::history;
pub use operator::{Aborted, abort};
pub use operator::{Adopt, AdoptReport, adopt};
pub use operator::{BuildingStatus, Lag, LockStatus, ProjectionStatus, Standing, StatusReport, status};
pub use operator::{Cleanup, Purge, cleanup, purge};
pub use operator::{Destination, cutover_destinations, rollback_destinations};
pub use operator::{FailedStreamDetails, FailedStreamRow, failed_stream, failed_streams};
pub use operator::{FoldedSample, SampledTypes, commits_of_stream, sample_types};
pub use operator::{Follow, FollowReport, Followed, follow};
pub use operator::{
    Grant, MissingRight, PassPlan, PlanReport, ProjectionPlan, Resumable, SharedPlan, preview,
};
pub use operator::{Healed, LeftOut, RetryReport, retry_failed_streams, streams_to_retry};
pub use operator::{Linger, Work, WorkReport, work};
pub use operator::{LockReport, lock_state, release_lock};
pub use operator::{PausedBuild, pause, resume, unfinished_builds};
pub use operator::{ReadOnlyReport, read_only_off, read_only_on, read_only_status};
pub use operator::{Verification, VerifyReport, verify};
pub use operator::{check_read_only_off, check_read_only_on};
pub use operator::{check_rebuild, cutover, rebuild, rollback};
pub use store::{DropOutcome, LockState, StoredFailedStream};
pub use store::{FixtureReport, FixtureRequest, write_fixture};
pub use store::{HistoryEntry, HistoryWho};
pub use store::{ShapeRequest, write_shape};
