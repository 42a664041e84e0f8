//! The verbs: one file each, with flags, work and words.

pub(super) mod abort;
pub(super) mod adopt;
pub(super) mod artefacts;
pub(super) mod cleanup;
pub(super) mod completions;
pub(super) mod cutover;
pub(super) mod errors;
pub(super) mod fixture;
pub(super) mod follow;
pub(super) mod health;
pub(super) mod history;
pub(super) mod lock;
pub(super) mod migrate;
pub(super) mod pause;
pub(super) mod plan;
pub(super) mod projections;
pub(super) mod read_only;
pub(super) mod rebuild;
pub(super) mod serve;
pub(super) mod status;
pub(super) mod verify;
pub(super) mod work;
