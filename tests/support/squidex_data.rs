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
    documents(&directory.join(set).join(format!("{set}.{name}.bson.gz")))
}

/// A file of the set with databases of single apps: what its database has behind the name of the other one,
/// and its collection.
pub(crate) struct OfApp {
    pub(crate) path: PathBuf,
    pub(crate) suffix: String,
    pub(crate) collection: String,
}

/// The files of the set with databases of single apps, but for those of the database of all.
pub(crate) fn of_apps(directory: &Path) -> Vec<OfApp> {
    let files = std::fs::read_dir(directory.join("dedicated")).unwrap().map(|file| file.unwrap().path());
    let of_app = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (suffix, collection) =
            name.strip_prefix("dedicated_")?.strip_suffix(".bson.gz")?.split_once('.')?;
        // One of them has a blank in its name.
        let collection = collection.replace("%20", " ");
        Some(OfApp { suffix: format!("_{suffix}"), collection, path })
    };
    files.filter_map(of_app).collect()
}

/// The documents of a file, in its order.
pub(crate) fn documents(path: &Path) -> Vec<RawDocumentBuf> {
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
