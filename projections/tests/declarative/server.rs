//! The server's side: updates in batches, by its wire protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use bson::{Document, RawDocumentBuf, doc};

use crate::case::{Case, Outcome};

/// A connection, and a collection of its own.
#[derive(Debug)]
pub(crate) struct Server {
    stream: TcpStream,
    collection: String,
    next: i32,
}

fn uri() -> String {
    std::env::var("MONGODB_URI").unwrap_or_else(|_| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/mongod");
        let runner = std::os::unix::process::parent_id().to_string();
        let arguments = ["start", "--name", "tests", "--with-parent", &runner];
        let output = Command::new(script).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
}

impl Server {
    pub(crate) fn connect(name: &str) -> Self {
        let uri = uri();
        let host =
            uri.trim().trim_start_matches("mongodb://").split(['/', '?', ',']).next().unwrap().to_owned();
        let host = host.rsplit('@').next().unwrap().to_owned();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, collection: format!("declarative_{name}_{}", std::process::id()), next: 0 }
    }

    fn command(&mut self, command: &Document) -> RawDocumentBuf {
        let mut command = command.clone();
        command.insert("$db", "statefold_declarative");
        let body = command.to_vec().unwrap();
        let length = i32::try_from(21 + body.len()).unwrap();
        self.next += 1;
        let mut message = Vec::new();
        for number in [length, self.next, 0, 2013, 0] {
            message.extend(number.to_le_bytes());
        }
        message.push(0);
        message.extend(body);
        self.stream.write_all(&message).unwrap();
        let mut head = [0; 21];
        self.stream.read_exact(&mut head).unwrap();
        let length = usize::try_from(i32::from_le_bytes(head[..4].try_into().unwrap())).unwrap();
        let mut body = vec![0; length - 21];
        self.stream.read_exact(&mut body).unwrap();
        let reply = RawDocumentBuf::from_bytes(body).unwrap();
        assert_eq!(reply.get_f64("ok").unwrap(), 1.0, "{reply:?}");
        reply
    }

    /// The outcome of each case, in order.
    pub(crate) fn run(&mut self, cases: &[Case]) -> Vec<Outcome> {
        let collection = self.collection.clone();
        self.command(&doc! { "delete": &collection, "deletes": [{ "q": {}, "limit": 0 }] });
        let known = cases.iter().enumerate().filter_map(|(i, case)| {
            let mut document = case.before.clone()?;
            document.insert("_id", id(i));
            Some(document)
        });
        let known: Vec<Document> = known.collect();
        if !known.is_empty() {
            let reply = self.command(&doc! { "insert": &collection, "documents": known });
            assert!(reply.get("writeErrors").unwrap().is_none(), "{reply:?}");
        }
        let updates: Vec<Document> =
            cases.iter().enumerate().map(|(i, case)| case.statement(&id(i))).collect();
        let reply = self.command(&doc! { "update": &collection, "updates": updates, "ordered": false });
        let mut outcomes = vec![Outcome::Error(String::new()); cases.len()];
        let find = doc! { "find": &collection, "batchSize": 100_000, "singleBatch": true };
        let reply_of_find = self.command(&find);
        for document in reply_of_find.get_document("cursor").unwrap().get_array("firstBatch").unwrap() {
            let document = document.unwrap().as_document().unwrap();
            let number: usize = document.get_str("_id").unwrap()[1..].parse().unwrap();
            outcomes[number] = match Document::try_from(document) {
                Ok(document) => Outcome::Document(document),
                Err(error) => Outcome::Error(format!("a document that no driver can read: {error}")),
            };
        }
        // A text of the server may be cut within a character.
        for error in reply.get_array("writeErrors").ok().into_iter().flatten() {
            let error = error.unwrap().as_document().unwrap();
            let number = usize::try_from(error.get_i32("index").unwrap()).unwrap();
            let text = error.get_str("errmsg").unwrap_or("not in UTF-8");
            outcomes[number] = Outcome::Error(text.to_owned());
        }
        outcomes
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.command(&doc! { "drop": self.collection.clone() });
        }
    }
}

/// The `_id` of a case.
pub(crate) fn id(number: usize) -> String {
    format!("k{number}")
}
