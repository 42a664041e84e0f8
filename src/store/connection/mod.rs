//! The connection to one deployment: the driver's client, facts of the server, deadlines, error classes.

mod call;
mod client;
mod databases;
mod diagnosis;
mod documents;
mod error;
mod faces;
mod facts;
mod insert;
mod places;
mod resume;

pub(in crate::store) use call::{LONG_CALL_SECONDS, call, call_within};
pub(crate) use client::Store;
pub(crate) use databases::Beside;
pub(in crate::store) use documents::{
    FORMAT, check_format, number_of, offset_of, read_concern, readable, refused_writes,
};
pub(crate) use error::is_out_of_time;
pub(in crate::store) use error::{
    DUPLICATE_KEY, HISTORY_LOST, INDEX_BUILD, NAMESPACE_EXISTS, OUT_OF_TIME, UUID_MISMATCH, VALIDATION_FAILED,
};
pub(in crate::store) use error::{classify, code, divided_in_vain, is_missing, written_late};
pub(crate) use faces::{Admin, Builds, Control, Events, Snapshots};
pub(in crate::store) use insert::{insertion, term};
pub(in crate::store) use resume::time_of;
