//! Settings: what a caller chooses, validated once, all problems at a time.

mod file;
mod lease;
mod memory;
mod settings;

pub use file::{FileSettings, LeaseFile, read_file};
pub use lease::LeaseSettings;
pub use settings::{Settings, Tuning};
