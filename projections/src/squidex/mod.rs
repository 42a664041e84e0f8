//! The projections of Squidex, from the facts of its event store and snapshot format.
