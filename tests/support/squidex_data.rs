//! What the real Squidex wrote: event stores, and the snapshots that its rebuilder made of them.
//!
//! The data are beside the repository, not in it: without them the tests print a word and pass.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bson::RawDocumentBuf;
use flate2::read::GzDecoder;

/// The directory of the data, if it is there.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/squidex");
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("skipped: there are no data of Squidex in {}", directory.display());
    None
}

/// The documents of a collection of a set, in the order of the file.
pub(crate) fn collection(directory: &Path, set: &str, name: &str) -> Vec<RawDocumentBuf> {
    let path = directory.join(set).join(format!("{set}.{name}.bson.gz"));
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut documents = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(length) = rest.first_chunk() {
        let length = usize::try_from(i32::from_le_bytes(*length)).unwrap();
        let (document, behind) = rest.split_at(length);
        documents.push(RawDocumentBuf::from_bytes(document.to_vec()).unwrap());
        rest = behind;
    }
    documents
}
