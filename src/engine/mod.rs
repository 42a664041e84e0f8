//! The engine: what operator verbs and application calls are made of. It shows nothing and asks nobody.

pub(crate) mod capacity;
pub(crate) mod leader;
pub(crate) mod pass;
pub(crate) mod preflight;
pub(crate) mod refolding;
pub(crate) mod required;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod sweep;
pub(crate) mod verify;
