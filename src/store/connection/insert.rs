//! Bulk inserts: one raw command per batch, acknowledged by the primary alone.
//!
//! The driver's `insert_many` encodes every document again and hides the reply, whose `electionId` makes the
//! cheap acknowledgement safe: see [`Term`].

use bson::spec::ElementType;
use bson::{Document, RawDocumentBuf, rawdoc};
use mongodb::Database;

use crate::error::{Error, Result};
use crate::pipeline::ports::Term;
use crate::plan::Topology;
use crate::store::connection::call::call;
use crate::store::connection::error::{classify_code, written_late};

/// The command that inserts documents into a collection, unordered, acknowledged by the primary; through a
/// router by a majority, because its reply doesn't tell the term.
///
/// Format: <https://bsonspec.org/spec.html>.
fn insert_command(topology: Topology, collection: &str, documents: &[&[u8]]) -> Result<RawDocumentBuf> {
    let by = match topology {
        Topology::Mongos => rawdoc! { "w": "majority" },
        Topology::ReplicaSet | Topology::Standalone => rawdoc! { "w": 1 },
    };
    let head = rawdoc! { "insert": collection, "ordered": false, "writeConcern": by };
    let mut bytes = head.into_bytes();
    let size: usize = documents.iter().map(|document| document.len() + 8).sum();
    bytes.reserve(size + 32);
    // After the last element, in place of the terminator.
    bytes.pop();
    bytes.push(ElementType::Array as u8);
    bytes.extend_from_slice(b"documents\0");
    let array = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    for (at, document) in documents.iter().enumerate() {
        bytes.push(ElementType::EmbeddedDocument as u8);
        bytes.extend_from_slice(decimal(at, &mut [0; 20]));
        bytes.push(0);
        bytes.extend_from_slice(document);
    }
    bytes.push(0);
    set_length(&mut bytes, array);
    bytes.push(0);
    set_length(&mut bytes, 0);
    RawDocumentBuf::from_bytes(bytes).map_err(|error| Error::Bug(format!("the insert is not BSON: {error}")))
}

/// Writes the length of the document that begins at `start` and goes to the end.
fn set_length(bytes: &mut [u8], start: usize) {
    let length = i32::try_from(bytes.len() - start).unwrap_or(i32::MAX);
    if let Some(slot) = bytes.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_le_bytes());
    }
}

fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    for (at, slot) in digits.iter_mut().enumerate().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        first = at;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

/// Inserts documents.
///
/// # Errors
/// The server's error about the command, a document, or the write concern. `again`: the documents were
/// inserted and cleared before, so that a duplicate key is a [transient](written_late) error.
pub(in crate::store) async fn insert(
    db: Database,
    doing: &'static str,
    command: Result<RawDocumentBuf>,
    again: bool,
) -> Result<Term> {
    let command = command?;
    let reply = call(doing, async move { db.run_raw_command(command).await }).await?;
    let mut errors =
        reply.get_array("writeErrors").ok().into_iter().flatten().filter_map(|error| error.as_document());
    if let Some(error) = errors.next().or_else(|| reply.get_document("writeConcernError").ok()) {
        let text = error.get_str("errmsg").unwrap_or("no reason given");
        let error = classify_code(doing, error.get_i32("code").unwrap_or(0), text);
        return Err(if again { written_late(error) } else { error });
    }
    Ok(term(&reply))
}

/// The insert of documents into a collection of a database.
pub(in crate::store) fn insertion(
    (topology, db): (Topology, &Database),
    collection: &str,
    doing: &'static str,
    documents: &[&[u8]],
    again: bool,
) -> impl Future<Output = Result<Term>> + Send + 'static {
    insert(db.clone(), doing, insert_command(topology, collection, documents), again)
}

/// The term of the primary that gave a reply.
pub(in crate::store) fn term(reply: &Document) -> Term {
    Term(reply.get_object_id("electionId").ok().map(|id| id.bytes()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{Bson, doc};

    use super::*;

    #[test]
    fn the_command_reads_back_as_a_document() {
        let documents: Vec<RawDocumentBuf> = (0..1001).map(|at| rawdoc! { "_id": at }).collect();
        let slices: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
        let command =
            Document::try_from(insert_command(Topology::ReplicaSet, "c", &slices).unwrap()).unwrap();
        let expected: Vec<Bson> = (0..1001).map(|at| Bson::Document(doc! { "_id": at })).collect();
        assert_eq!(
            command,
            doc! { "insert": "c", "ordered": false, "writeConcern": { "w": 1 }, "documents": expected }
        );
        let names: Vec<String> = insert_command(Topology::ReplicaSet, "c", &slices)
            .unwrap()
            .get_array("documents")
            .unwrap()
            .as_bytes()
            .windows(6)
            .filter_map(|at| {
                (at.first() == Some(&3)).then(|| String::from_utf8(at.get(1..5)?.to_vec()).ok()).flatten()
            })
            .filter(|name| name == "1000")
            .collect();
        assert_eq!(names, ["1000"]);
    }

    #[test]
    fn a_router_waits_for_a_majority() {
        let command = Document::try_from(insert_command(Topology::Mongos, "c", &[]).unwrap()).unwrap();
        assert_eq!(command.get_document("writeConcern").ok(), Some(&doc! { "w": "majority" }));
    }
}
