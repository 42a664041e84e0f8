//! Settings of a caller, validated once, with all problems reported together.

mod cleanup;
mod file;
mod lease;
mod memory;
mod read_from;
mod settings;
mod sharing;
mod throttle;
mod uri;

pub use cleanup::CleanupSettings;
pub use file::{CleanupFile, FileSettings, LeaseFile, SquidexFile, read_file};
pub use lease::LeaseSettings;
pub(crate) use memory::resident_bytes;
pub use read_from::ReadFrom;
#[cfg(feature = "cli")]
pub(crate) use settings::database_name_problem;
pub use settings::{Settings, Tuning};
pub use sharing::Sharing;
pub use throttle::Throttle;
pub use uri::ConnectionString;
#[cfg(feature = "cli")]
pub(crate) use uri::is_public;
pub(crate) use uri::{without_foreign, without_secrets};
