//! Sentences and tables that several verbs share.

pub(super) mod differences;
pub(super) mod event_store;
pub(super) mod generations;
pub(super) mod rights;
