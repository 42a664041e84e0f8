//! Elements of BSON documents, written directly into a buffer.
//!
//! Format: <https://bsonspec.org/spec.html>.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use crate::walk::Element;

/// Appends elements to a BSON document.
#[derive(Debug)]
pub struct DocumentWriter<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
    valid: &'a mut bool,
}

impl<'a> DocumentWriter<'a> {
    pub(crate) fn open(bytes: &'a mut Vec<u8>, valid: &'a mut bool) -> Self {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, start, valid }
    }

    pub(crate) fn close(self) {
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

    /// Appends an element of another document, unchanged.
    pub(crate) fn element(&mut self, element: &Element<'_>) {
        self.bytes.reserve(element.name.len() + element.value.len() + 2);
        self.bytes.push(element.kind);
        self.bytes.extend_from_slice(element.name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(element.value);
    }

    /// Appends all elements of another document except `_id`, unchanged.
    pub(crate) fn elements_of(&mut self, document: &RawDocument) {
        for (name, value) in document.iter().flatten() {
            if name != "_id" {
                self.raw(name.as_str(), value);
            }
        }
    }

    /// Appends a value that is already in memory.
    pub fn value(&mut self, name: &str, value: &Bson) {
        match value {
            Bson::String(text) => self.str(name, text),
            Bson::Int32(number) => self.i32(name, *number),
            Bson::Int64(number) => self.i64(name, *number),
            Bson::Double(number) => self.f64(name, *number),
            Bson::Boolean(is) => self.bool(name, *is),
            Bson::DateTime(date) => self.date_ms(name, date.timestamp_millis()),
            Bson::Null => self.null(name),
            Bson::Document(members) => self.document(name, |document| document.values(members)),
            Bson::Array(items) => self.array(name, |array| {
                items.iter().for_each(|item| array.push(|document, name| document.value(name, item)));
            }),
            rare => match RawDocumentBuf::try_from(&bson::doc! { "v": rare.clone() }) {
                Ok(document) => self.first_of(&document, name),
                Err(_) => *self.valid = false,
            },
        }
    }

    /// Appends all members of a document.
    pub fn values(&mut self, members: &Document) {
        members.iter().for_each(|(name, value)| self.value(name, value));
    }

    /// Appends a value of any type.
    pub fn raw(&mut self, name: &str, value: bson::RawBsonRef<'_>) {
        let mut document = RawDocumentBuf::new();
        document.append(bson::cstr!("v"), value);
        self.first_of(&document, name);
    }

    /// Appends the one value of a document, which is named `v` there.
    fn first_of(&mut self, document: &RawDocument, name: &str) {
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
