//! Snapshot output: BSON bytes, written directly into a buffer per target.
//!
//! Invariant: a buffer holds whole documents only; a failed write is undone.
//! Format: <https://bsonspec.org/spec.html>.

use bson::{Document, RawDocument, RawDocumentBuf};

use crate::FoldError;

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

/// Appends elements to a BSON document.
#[derive(Debug)]
pub struct DocumentWriter<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
    valid: &'a mut bool,
}

impl<'a> DocumentWriter<'a> {
    fn open(bytes: &'a mut Vec<u8>, valid: &'a mut bool) -> Self {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, start, valid }
    }

    fn close(self) {
        self.bytes.push(0);
        // A length beyond i32 is refused by the sink, which looks at the size.
        let length = i32::try_from(self.bytes.len() - self.start).unwrap_or(i32::MAX);
        if let Some(slot) = self.bytes.get_mut(self.start..self.start + 4) {
            slot.copy_from_slice(&length.to_le_bytes());
        }
    }

    // Most names are constants of two letters: the compiler removes the check where this is inlined.
    #[inline(always)]
    fn header(&mut self, element_type: u8, name: &str) {
        *self.valid &= name.bytes().fold(true, |valid, byte| valid & (byte != 0));
        self.bytes.reserve(name.len() + 16);
        self.bytes.push(element_type);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    /// Appends a string.
    #[inline]
    pub fn str(&mut self, name: &str, value: &str) {
        self.text(name, value.as_bytes());
    }

    /// Appends a string, or null.
    #[inline]
    pub fn str_or_null(&mut self, name: &str, value: Option<&str>) {
        self.text_or_null(name, value.map(str::as_bytes));
    }

    /// Appends a string whose bytes are known to be text.
    #[inline]
    pub(crate) fn text(&mut self, name: &str, value: &[u8]) {
        self.header(0x02, name);
        let length = i32::try_from(value.len() + 1).unwrap_or(i32::MAX);
        self.bytes.reserve(value.len() + 5);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(0);
    }

    /// As [`text`](Self::text), or null.
    #[inline]
    pub(crate) fn text_or_null(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    /// Appends null.
    #[inline]
    pub fn null(&mut self, name: &str) {
        self.header(0x0A, name);
    }

    /// Appends a boolean.
    #[inline]
    pub fn bool(&mut self, name: &str, value: bool) {
        self.header(0x08, name);
        self.bytes.push(u8::from(value));
    }

    /// Appends a 32-bit integer.
    #[inline]
    pub fn i32(&mut self, name: &str, value: i32) {
        self.header(0x10, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a 64-bit integer.
    #[inline]
    pub fn i64(&mut self, name: &str, value: i64) {
        self.header(0x12, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a double.
    #[inline]
    pub fn f64(&mut self, name: &str, value: f64) {
        self.header(0x01, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a date, given in milliseconds since the Unix epoch.
    #[inline]
    pub fn date_ms(&mut self, name: &str, value: i64) {
        self.header(0x09, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends bytes (subtype 0).
    pub fn binary(&mut self, name: &str, value: &[u8]) {
        self.header(0x05, name);
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
    }

    /// Appends an embedded document.
    #[inline]
    pub fn document(&mut self, name: &str, write: impl FnOnce(&mut DocumentWriter<'_>)) {
        self.header(0x03, name);
        let mut inner = DocumentWriter::open(self.bytes, self.valid);
        write(&mut inner);
        inner.close();
    }

    /// Appends an array.
    #[inline]
    pub fn array(&mut self, name: &str, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.header(0x04, name);
        let mut inner = ArrayWriter { document: DocumentWriter::open(self.bytes, self.valid), next: 0 };
        write(&mut inner);
        inner.document.close();
    }

    /// Appends encoded elements, whose names must be valid.
    pub(crate) fn elements(&mut self, elements: &[u8]) {
        self.bytes.extend_from_slice(elements);
    }

    /// Appends an encoded value.
    pub(crate) fn bytes(&mut self, element_type: u8, name: &str, value: &[u8]) {
        self.header(element_type, name);
        self.bytes.extend_from_slice(value);
    }

    /// Appends all elements of another document except `_id`, unchanged.
    fn elements_of(&mut self, document: &RawDocument) {
        for (name, value) in document.iter().flatten() {
            if name != "_id" {
                self.raw(name.as_str(), value);
            }
        }
    }

    /// Appends a value of any type.
    pub fn raw(&mut self, name: &str, value: bson::RawBsonRef<'_>) {
        let mut document = RawDocumentBuf::new();
        document.append(bson::cstr!("v"), value);
        // Length (4 bytes), one element (its type, "v\0", its value), terminator.
        if let [_, _, _, _, element_type, _, _, value @ .., _] = document.as_bytes() {
            self.bytes(*element_type, name, value);
        }
    }
}

/// Appends values to a BSON array.
#[derive(Debug)]
pub struct ArrayWriter<'a> {
    document: DocumentWriter<'a>,
    next: usize,
}

impl ArrayWriter<'_> {
    /// Appends the next value: `write` writes it, under the name that it is called with.
    pub fn push(&mut self, write: impl FnOnce(&mut DocumentWriter<'_>, &str)) {
        let mut digits = [0_u8; 20];
        let name = decimal(self.next, &mut digits);
        write(&mut self.document, name);
        self.next += 1;
    }

    /// Appends encoded elements, names included; they must be all elements of the array.
    pub(crate) fn elements(&mut self, elements: &[u8]) {
        self.document.elements(elements);
    }

    /// Appends a string as the next value.
    pub fn str(&mut self, value: &str) {
        self.push(|document, name| document.str(name, value));
    }
}

/// Formats a number in decimal digits, without an allocation.
pub(crate) fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &str {
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        // A digit is below 10.
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    digits.get(20 - used..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("0")
}

#[cfg(test)]
mod tests;
