//! Snapshot output: BSON bytes, written directly into a buffer per target.
//!
//! Invariant: a buffer holds whole documents only; a failed write is undone.
//! Format: <https://bsonspec.org/spec.html>.

use bson::{Document, RawDocumentBuf};

use crate::FoldError;
use crate::writer::DocumentWriter;

/// Maximum size of a MongoDB document.
pub const SNAPSHOT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Whole documents of one target, one after another.
#[derive(Debug, Default, Clone)]
pub struct SnapshotBuffer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl SnapshotBuffer {
    /// Number of documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if there is no document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Size of all documents, in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of each document, in the order they were written.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

/// The buffers of a projection, one per target.
#[derive(Debug, Default, Clone)]
pub struct Snapshots {
    targets: Vec<SnapshotBuffer>,
    /// The targets that the last stream has written to: a few.
    written: Vec<usize>,
    /// Whether the last stream was remarked on.
    remarked: bool,
    /// Number of streams that were.
    remarks: u64,
}

impl Snapshots {
    /// Empty buffers for this many targets.
    #[must_use]
    pub fn new(targets: usize) -> Self {
        Self { targets: vec![SnapshotBuffer::default(); targets], ..Self::default() }
    }

    /// The buffers, in the order of the spec's targets.
    #[must_use]
    pub fn targets(&self) -> &[SnapshotBuffer] {
        &self.targets
    }

    /// Number of documents in all buffers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.iter().map(SnapshotBuffer::len).sum()
    }

    /// Returns true if no buffer has a document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.iter().all(SnapshotBuffer::is_empty)
    }

    /// Size of all documents, in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.targets.iter().map(SnapshotBuffer::byte_len).sum()
    }

    /// Number of streams that were [remarked on](Sink::remark).
    #[must_use]
    pub fn remarks(&self) -> u64 {
        self.remarks
    }

    /// Removes the snapshots of the last stream.
    pub fn undo(&mut self) {
        for target in self.written.drain(..) {
            let Some(buffer) = self.targets.get_mut(target) else { continue };
            buffer.ends.pop();
            buffer.bytes.truncate(buffer.ends.last().copied().unwrap_or(0));
        }
        self.remarks -= u64::from(std::mem::take(&mut self.remarked));
    }

    /// Runs `write` with a sink for the stream whose snapshots have this `_id`, and returns the number
    /// of snapshots. If it fails, nothing of that stream remains in any buffer.
    ///
    /// # Errors
    /// The error of `write`.
    pub fn of_stream(
        &mut self,
        id: &str,
        write: impl FnOnce(&mut Sink<'_>) -> Result<(), FoldError>,
    ) -> Result<usize, FoldError> {
        self.written.clear();
        self.remarked = false;
        if let Err(error) = write(&mut Sink { id, snapshots: self }) {
            self.undo();
            return Err(error);
        }
        Ok(self.written.len())
    }
}

/// Takes the snapshots of one stream. The `_id` is the stream's key and is written by the sink.
#[derive(Debug)]
pub struct Sink<'a> {
    id: &'a str,
    snapshots: &'a mut Snapshots,
}

impl Sink<'_> {
    /// Writes the snapshot for a target, element by element.
    ///
    /// # Errors
    /// [`FoldError`] if the target isn't declared or already has a snapshot of this stream, if an
    /// element name can't be stored, or if the document is too large.
    pub fn put(
        &mut self,
        target: usize,
        write: impl FnOnce(&mut DocumentWriter<'_>),
    ) -> Result<(), FoldError> {
        let Some(buffer) = self.snapshots.targets.get_mut(target) else {
            return Err(FoldError::NoSuchTarget(target));
        };
        if self.snapshots.written.contains(&target) {
            return Err(FoldError::Duplicate(target));
        }
        let start = buffer.bytes.len();
        let mut valid = true;
        let mut document = DocumentWriter::open(&mut buffer.bytes, &mut valid);
        document.str("_id", self.id);
        write(&mut document);
        document.close();
        let size = buffer.bytes.len() - start;
        let problem = match (valid, size > SNAPSHOT_BYTES_MAX) {
            (false, _) => Some(FoldError::ElementName),
            (true, true) => Some(FoldError::TooLarge(size)),
            (true, false) => None,
        };
        if let Some(problem) = problem {
            buffer.bytes.truncate(start);
            return Err(problem);
        }
        buffer.ends.push(buffer.bytes.len());
        self.snapshots.written.push(target);
        Ok(())
    }

    /// Counts this stream among those that the projection [remarks on](crate::Spec::remarks_on).
    pub fn remark(&mut self) {
        self.snapshots.remarks += u64::from(!self.snapshots.remarked);
        self.snapshots.remarked = true;
    }

    /// Writes an existing document: simpler, but slower than [`put`](Self::put). An `_id` in it is
    /// replaced by the stream's key.
    ///
    /// # Errors
    /// [`FoldError`] for the same reasons as [`put`](Self::put), or if the document can't be encoded.
    pub fn put_document(&mut self, target: usize, document: &Document) -> Result<(), FoldError> {
        let raw =
            RawDocumentBuf::try_from(document).map_err(|error| FoldError::Refused(error.to_string()))?;
        self.put(target, |writer| writer.elements_of(&raw))
    }
}

#[cfg(test)]
mod tests;
