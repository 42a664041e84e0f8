//! The engine: the parts that operator verbs and application calls are made of. It prints nothing and prompts
//! nobody.

pub(crate) mod capacity;
pub(crate) mod comparing;
pub(crate) mod leader;
pub(crate) mod looking;
pub(crate) mod pass;
pub(crate) mod preflight;
pub(crate) mod refolding;
pub(crate) mod required;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod sweep;
pub(crate) mod verify;
pub(crate) mod workers;
