//! Commands that replace snapshots; those that the application may write as well only while they are what
//! they were.

use bson::{Document, RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};

/// Bytes of the documents in one command, unless a single one has more: the server takes 16 MiB, and a
/// replacement that is guarded is sent with what it replaces.
const COMMAND_BYTES: usize = 15 << 20;

/// A command, and the number of documents that it has to find as they were; `None` if that doesn't matter.
pub(super) struct Write {
    pub(super) command: RawDocumentBuf,
    pub(super) expected: Option<i32>,
    /// What has to be there before, if it doesn't fit into the command.
    before: Option<Stored>,
}

/// A stored document that is too large to be sent along.
pub(super) struct Stored {
    collection: String,
    id: String,
    document: RawDocumentBuf,
}

/// A command that reads a document, and what has to be found.
pub(super) struct Look<'a> {
    pub(super) command: RawDocumentBuf,
    pub(super) stored: &'a Stored,
}

impl Stored {
    /// Whether a reply has this document, as it was.
    pub(super) fn is_in(&self, reply: &Document) -> bool {
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let found = batch.ok().and_then(|batch| batch.first()).and_then(bson::Bson::as_document);
        let found = found.and_then(|found| RawDocumentBuf::try_from(found).ok());
        found.is_some_and(|found| found.as_bytes() == self.document.as_bytes())
    }
}

impl Write {
    /// A command that may find any number of documents.
    pub(super) fn any(command: RawDocumentBuf) -> Self {
        Self { command, expected: None, before: None }
    }

    /// A command that has to find so many documents.
    pub(super) fn all_of(expected: i32, command: RawDocumentBuf) -> Self {
        Self { command, expected: Some(expected), before: None }
    }

    /// What has to be looked at first, in the same transaction: what is written between that and the command
    /// conflicts with it.
    pub(super) fn looks(&self) -> impl Iterator<Item = Look<'_>> {
        self.before.iter().map(|stored| {
            let filter = rawdoc! { "_id": stored.id.as_str() };
            let command = rawdoc! {
                "find": stored.collection.as_str(), "filter": filter, "limit": 1, "singleBatch": true,
            };
            Look { command, stored }
        })
    }
}

/// The changes of one collection, gathered into commands.
pub(super) struct Batch<'a> {
    collection: &'a str,
    /// Whether others may write the same snapshots.
    guarded: bool,
    updates: Gathered,
    inserts: Gathered,
    deletes: Gathered,
    full: Vec<(Kind, Write)>,
}

/// The statements of one kind that aren't in a command yet.
#[derive(Default)]
struct Gathered {
    statements: RawArrayBuf,
    number: i32,
    bytes: usize,
}

/// Kind of a command, in the order in which they are sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Delete,
    Update,
    Insert,
}

impl Kind {
    fn command(self, collection: &str, statements: RawArrayBuf) -> RawDocumentBuf {
        match self {
            Self::Delete => rawdoc! { "delete": collection, "deletes": statements },
            Self::Update => rawdoc! { "update": collection, "updates": statements },
            Self::Insert => rawdoc! { "insert": collection, "documents": statements },
        }
    }
}

impl<'a> Batch<'a> {
    pub(super) fn of(collection: &'a str, guarded: bool) -> Self {
        let new = Gathered::default;
        Self { collection, guarded, updates: new(), inserts: new(), deletes: new(), full: Vec::new() }
    }

    /// Writes a snapshot over the one that is stored, if one is.
    pub(super) fn put(&mut self, id: &str, stored: Option<&RawDocumentBuf>, document: &RawDocument) {
        let size = document.as_bytes().len();
        match stored {
            _ if !self.guarded => {
                let update = rawdoc! { "q": { "_id": id }, "u": document.to_owned(), "upsert": true };
                self.add(Kind::Update, update, size);
            }
            Some(stored) if size + stored.as_bytes().len() > COMMAND_BYTES => {
                let update = rawdoc! { "q": { "_id": id }, "u": document.to_owned() };
                self.add_alone(Kind::Update, update, (id, stored));
            }
            Some(stored) => {
                let update = rawdoc! { "q": as_it_was(id, stored), "u": document.to_owned() };
                self.add(Kind::Update, update, size + stored.as_bytes().len());
            }
            // Refused if somebody else has inserted it.
            None => self.add(Kind::Insert, document.to_owned(), size),
        }
    }

    /// Deletes a stored snapshot.
    pub(super) fn remove(&mut self, id: &str, stored: &RawDocumentBuf) {
        if self.guarded && stored.as_bytes().len() > COMMAND_BYTES {
            let delete = rawdoc! { "q": { "_id": id }, "limit": 1 };
            return self.add_alone(Kind::Delete, delete, (id, stored));
        }
        let (query, size) = match self.guarded {
            true => (as_it_was(id, stored), stored.as_bytes().len()),
            false => (rawdoc! { "_id": id }, id.len()),
        };
        self.add(Kind::Delete, rawdoc! { "q": query, "limit": 1 }, size);
    }

    /// The commands: what is deleted first, so that another snapshot can take its unique values.
    pub(super) fn finish(mut self) -> Vec<Write> {
        [Kind::Delete, Kind::Update, Kind::Insert].into_iter().for_each(|kind| self.close(kind));
        self.full.sort_by_key(|(kind, _)| *kind);
        self.full.into_iter().map(|(_, write)| write).collect()
    }

    /// Adds a command of its own, for which a stored document is looked at first.
    fn add_alone(&mut self, kind: Kind, statement: RawDocumentBuf, (id, stored): (&str, &RawDocumentBuf)) {
        let mut statements = RawArrayBuf::new();
        statements.push(statement);
        let (collection, id) = (self.collection.to_owned(), id.to_owned());
        let before = Some(Stored { collection, id, document: stored.clone() });
        let command = kind.command(self.collection, statements);
        self.full.push((kind, Write { command, expected: Some(1), before }));
    }

    fn gathered(&mut self, kind: Kind) -> &mut Gathered {
        match kind {
            Kind::Update => &mut self.updates,
            Kind::Insert => &mut self.inserts,
            Kind::Delete => &mut self.deletes,
        }
    }

    fn add(&mut self, kind: Kind, statement: RawDocumentBuf, size: usize) {
        let gathered = self.gathered(kind);
        if gathered.number > 0 && gathered.bytes + size > COMMAND_BYTES {
            self.close(kind);
        }
        let gathered = self.gathered(kind);
        gathered.statements.push(statement);
        gathered.number += 1;
        gathered.bytes += size;
    }

    fn close(&mut self, kind: Kind) {
        let Gathered { statements, number, .. } = std::mem::take(self.gathered(kind));
        if number == 0 {
            return;
        }
        let command = kind.command(self.collection, statements);
        let expected = self.guarded.then_some(number);
        self.full.push((kind, Write { command, expected, before: None }));
    }
}

/// Selects a document only if it is as it was, with every field in its place.
fn as_it_was(id: &str, stored: &RawDocumentBuf) -> RawDocumentBuf {
    // By `$cmp`: MongoDB 4.4 fails to optimize a plain `$eq` of the whole document (error 16409).
    let compared = rawdoc! { "$cmp": ["$$ROOT", { "$literal": stored.clone() }] };
    rawdoc! { "_id": id, "$expr": { "$eq": [compared, 0] } }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn only_what_others_may_write_is_guarded() {
        let (stored, new) = (rawdoc! { "_id": "a", "v": 1 }, rawdoc! { "_id": "a", "v": 2 });
        let commands = |guarded| {
            let mut batch = Batch::of("S", guarded);
            batch.put("a", Some(&stored), &new);
            batch.put("b", None, &new);
            batch.remove("c", &stored);
            batch.finish()
        };
        let names = |writes: &[Write]| -> Vec<(String, Option<i32>)> {
            let name = |write: &Write| write.command.iter().next().unwrap().unwrap().0.as_str().to_owned();
            writes.iter().map(|write| (name(write), write.expected)).collect()
        };
        let found = |name: &str, number| (name.to_owned(), number);
        assert_eq!(names(&commands(false)), [found("delete", None), found("update", None)]);
        let guarded = [found("delete", Some(1)), found("update", Some(1)), found("insert", Some(1))];
        assert_eq!(names(&commands(true)), guarded);
    }

    #[test]
    fn no_command_is_larger_than_the_server_takes() {
        let large = |mebibytes: usize| rawdoc! { "_id": "a", "text": "x".repeat(mebibytes << 20) };
        let mut batch = Batch::of("S", true);
        for size in [4, 4, 9, 15] {
            batch.put("a", Some(&large(size)), &large(size));
        }
        batch.put("a", None, &large(15));
        batch.remove("a", &large(15));
        let commands = batch.finish();
        assert_eq!(commands.len(), 6);
        assert!(commands.iter().all(|write| write.command.as_bytes().len() <= 16 << 20));
        // What doesn't fit is looked at first.
        let looks: Vec<usize> = commands.iter().map(|write| write.looks().count()).collect();
        assert_eq!(looks.iter().sum::<usize>(), 3, "{looks:?}");
        let stored = &commands.iter().find_map(|write| write.before.as_ref()).unwrap();
        let reply = |document: Document| doc! { "cursor": { "firstBatch": [document] } };
        let same = Document::try_from(stored.document.clone()).unwrap();
        assert!(stored.is_in(&reply(same)) && !stored.is_in(&reply(doc! { "_id": "a" })));
        assert!(!stored.is_in(&doc! { "cursor": { "firstBatch": [] } }));
    }
}
