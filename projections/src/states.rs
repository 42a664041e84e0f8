//! States of many streams, a slab of typed states per projection: one virtual call per commit.

use std::sync::Arc;

use crate::{Chunked, Commit, FoldError, FoldFailure, Lookup, Projection, Snapshots, StreamKey};

/// Position of one stream's state in a slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

/// The states of one projection, its type erased.
pub trait States: Send {
    /// Opens a slot with the state before the first event.
    fn open(&mut self) -> Slot;

    /// Folds the events of a commit into a slot and returns how many there were.
    ///
    /// # Errors
    /// [`FoldFailure`] names the event that couldn't be folded; after that the slot may only be
    /// closed.
    fn apply(&mut self, slot: Slot, commit: &Commit<'_>) -> Result<u64, FoldFailure>;

    /// Writes the snapshots of a complete stream and returns how many there were.
    ///
    /// # Errors
    /// [`FoldError`] of the projection or the sink; nothing of the stream is written then.
    fn emit(
        &self,
        slot: Slot,
        key: &StreamKey<'_>,
        others: &dyn Lookup,
        out: &mut Snapshots,
    ) -> Result<usize, FoldError>;

    /// Closes a slot, which may be opened again for another stream.
    fn close(&mut self, slot: Slot);

    /// Memory of the state in a slot, in bytes: its own size and the heap memory it owns.
    fn bytes(&self, slot: Slot) -> usize;
}

/// The states of one projection, with their type.
pub(crate) struct Slab<P: Projection> {
    projection: Arc<P>,
    states: Chunked<P::State>,
    free: Vec<usize>,
}

impl<P: Projection> Slab<P> {
    pub(crate) fn new(projection: Arc<P>) -> Self {
        Self { projection, states: Chunked::default(), free: Vec::new() }
    }
}

impl<P: Projection> States for Slab<P> {
    fn open(&mut self) -> Slot {
        if let Some(at) = self.free.pop() {
            return Slot(at);
        }
        Slot(self.states.push(P::State::default()))
    }

    fn apply(&mut self, slot: Slot, commit: &Commit<'_>) -> Result<u64, FoldFailure> {
        let mut events = 0;
        let Some(state) = self.states.get_mut(slot.0) else { return Ok(events) };
        for event in commit.events() {
            let event = event?;
            self.projection.apply(state, &event).map_err(|error| FoldFailure {
                number: event.number,
                event_type: event.event_type.to_owned(),
                error,
            })?;
            events += 1;
        }
        Ok(events)
    }

    fn emit(
        &self,
        slot: Slot,
        key: &StreamKey<'_>,
        others: &dyn Lookup,
        out: &mut Snapshots,
    ) -> Result<usize, FoldError> {
        let Some(state) = self.states.get(slot.0) else { return Ok(0) };
        out.of_stream(key.id(), |sink| self.projection.snapshots(key, state, others, sink))
    }

    fn close(&mut self, slot: Slot) {
        if let Some(state) = self.states.get_mut(slot.0) {
            *state = P::State::default();
            self.free.push(slot.0);
        }
    }

    fn bytes(&self, slot: Slot) -> usize {
        self.states.get(slot.0).map_or(0, |state| self.projection.state_bytes(state))
    }
}
