//! The five handles of a store: narrow views of the same connection, each implemented by the module it names.

use crate::store::connection::client::Store;

/// The control document and related documents: lease, migration lock, fence, pointer, positions, instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Control<'a> {
    pub(in crate::store) store: &'a Store,
}

/// The event store: its sources, its change stream, the commits an application appends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events<'a> {
    pub(in crate::store) store: &'a Store,
}

/// The records of builds: states, checkpoints, heads, failed streams, pauses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builds<'a> {
    pub(in crate::store) store: &'a Store,
}

/// The collections of snapshots, built by statefold or by an application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshots<'a> {
    pub(in crate::store) store: &'a Store,
}

/// The operator's view of the server: collections, capacity, members, privileges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin<'a> {
    pub(in crate::store) store: &'a Store,
}

impl Store {
    /// The control document and related documents: lease, migration lock, fence, pointer, positions,
    /// instances.
    pub(crate) fn control(&self) -> Control<'_> {
        Control { store: self }
    }

    /// The event store: its sources, its change stream, the commits an application appends.
    pub(crate) fn events(&self) -> Events<'_> {
        Events { store: self }
    }

    /// The records of builds: states, checkpoints, heads, failed streams, pauses.
    pub(crate) fn builds(&self) -> Builds<'_> {
        Builds { store: self }
    }

    /// The collections of snapshots, built by statefold or by an application.
    pub(crate) fn snapshots(&self) -> Snapshots<'_> {
        Snapshots { store: self }
    }

    /// The operator's view of the server: collections, capacity, members, privileges.
    pub(crate) fn admin(&self) -> Admin<'_> {
        Admin { store: self }
    }
}
