//! Settings: what a caller chooses, validated once, all problems at a time.

mod file;
mod memory;
mod settings;

pub use file::{FileSettings, read_file};
pub use settings::{Settings, Tuning};
