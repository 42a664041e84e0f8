//! The parts that an application links: migration at its start, a handle for readers, appending for writers,
//! and its registration as an instance.

mod instances;
mod migrate;
mod reader;
mod writer;

pub use instances::{Instance, instances, register_instance};
pub use migrate::{Hook, Migrate, Outcome, migrate};
pub use reader::{ActiveHandle, Reading, active_generation, follow_active};
pub use writer::{Appended, EventWriter, Expected, NewEvent, Payload};
