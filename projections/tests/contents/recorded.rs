//! Event stores and snapshots that Squidex wrote, if they are there: they don't belong to the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use statefold_projections::squidex::Contents;
use statefold_projections::testing::fold_stream;
use statefold_projections::{Commit, FoldFailure, Layout, Lookup, Projection as _, Registered, Snapshots};

/// Documents by their `_id`.
pub(crate) type Documents = BTreeMap<String, RawDocumentBuf>;

/// The directory with all sets; `None`, with a word about it, if it isn't there.
pub(crate) fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/squidex");
    if root.is_dir() {
        return Some(root);
    }
    #[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
    {
        eprintln!("skipped: there is no {}", root.display());
    }
    None
}

/// The names of the files of a set, without `.bson.gz`.
pub(crate) fn names(set: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(set).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(".bson.gz").map(str::to_owned)).collect()
}

/// The documents of a file, in its order.
pub(crate) fn read(set: &Path, name: &str) -> Vec<RawDocumentBuf> {
    let file = std::fs::File::open(set.join(format!("{name}.bson.gz"))).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let (mut rest, mut documents) = (bytes.as_slice(), Vec::new());
    while let Some(length) = rest.first_chunk() {
        let (document, behind) = rest.split_at(usize::try_from(i32::from_le_bytes(*length)).unwrap());
        documents.push(RawDocumentBuf::from_bytes(document.to_vec()).unwrap());
        rest = behind;
    }
    documents
}

pub(crate) fn id(document: &RawDocument) -> String {
    document.get_str("_id").unwrap().to_owned()
}

/// The documents of all files with these names.
pub(crate) fn read_all<'a>(set: &Path, names: impl IntoIterator<Item = &'a String>) -> Documents {
    let mut all = Documents::new();
    for document in names.into_iter().flat_map(|name| read(set, name)) {
        assert!(all.insert(id(&document), document).is_none(), "a document is in two collections");
    }
    all
}

/// The commits of each stream, in order of their offsets.
pub(crate) fn streams(commits: Vec<RawDocumentBuf>, prefix: &str) -> BTreeMap<String, Vec<RawDocumentBuf>> {
    let mut streams: BTreeMap<String, Vec<RawDocumentBuf>> = BTreeMap::new();
    for commit in commits {
        let name = commit.get_str("EventStream").unwrap();
        if name.starts_with(prefix) && !name.ends_with("--deleted") {
            streams.entry(name.to_owned()).or_default().push(commit);
        }
    }
    for commits in streams.values_mut() {
        commits.sort_by_key(|commit| commit.get_i64("EventStreamOffset").unwrap());
    }
    streams
}

/// The snapshots of apps and schemas that Squidex wrote. Like the engine, it has a snapshot from the second
/// time on that it is asked for.
#[derive(Default)]
pub(crate) struct Others {
    snapshots: BTreeMap<&'static str, Documents>,
    asked: Mutex<BTreeSet<(String, String)>>,
    is_incomplete: Mutex<bool>,
}

impl Others {
    pub(crate) fn of(set: &Path, database: &str) -> Self {
        let of = |target: &'static str| (target, read_all(set, [&format!("{database}.{target}")]));
        Self { snapshots: [of("States_Apps"), of("States_Schemas")].into(), ..Self::default() }
    }
}

impl Lookup for Others {
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument> {
        if self.asked.lock().unwrap().insert((target.to_owned(), id.to_owned())) {
            *self.is_incomplete.lock().unwrap() = true;
            return None;
        }
        self.snapshots.get(target)?.get(id).map(AsRef::as_ref)
    }
}

/// Folds a stream until everything that it looks up is there.
pub(crate) fn fold(
    projection: &Registered,
    stream: &str,
    commits: &[RawDocumentBuf],
    others: &Others,
) -> Result<Snapshots, FoldFailure> {
    let mut states = projection.states();
    loop {
        *others.is_incomplete.lock().unwrap() = false;
        let result = fold_stream(projection, &mut *states, commits, &Layout::default(), stream, others);
        if !*others.is_incomplete.lock().unwrap() {
            return result;
        }
    }
}

/// All snapshots of the contents of an event store, by target.
pub(crate) fn build(streams: &BTreeMap<String, Vec<RawDocumentBuf>>, others: &Others) -> [Documents; 2] {
    let projection = Registered::new(Contents::new());
    let mut built = [Documents::new(), Documents::new()];
    for (stream, commits) in streams {
        let snapshots = fold(&projection, stream, commits, others)
            .unwrap_or_else(|failure| panic!("{stream} doesn't fold: {failure}"));
        for (built, target) in built.iter_mut().zip(snapshots.targets()) {
            for bytes in target.documents() {
                let document = RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap();
                assert!(built.insert(id(&document), document).is_none());
            }
        }
    }
    built
}

/// The document with an empty id of its schedule, which Squidex makes at random.
pub(crate) fn without_schedule_id(document: &RawDocument) -> RawDocumentBuf {
    let mut copy = RawDocumentBuf::new();
    for element in document {
        let (name, value) = element.unwrap();
        match value {
            RawBsonRef::Document(schedule) if name == "sj" => {
                assert!(schedule.iter().next().unwrap().unwrap().0 == "_id");
                let mut job = RawDocumentBuf::new();
                for element in schedule {
                    let (name, value) = element.unwrap();
                    job.append(name, if name == "_id" { RawBsonRef::String("") } else { value });
                }
                copy.append(name, job);
            }
            value => copy.append(name, value),
        }
    }
    assert!(document.get("sj").unwrap().is_some() || copy.as_bytes() == document.as_bytes());
    copy
}

/// That both have the same documents, byte for byte except for the ids of schedules.
pub(crate) fn assert_equal(built: &Documents, recorded: &Documents, what: &str) {
    for (id, recorded) in recorded {
        let built = built.get(id).unwrap_or_else(|| panic!("{what} lacks {id}"));
        let (built, recorded) = (without_schedule_id(built), without_schedule_id(recorded));
        assert!(
            built == recorded,
            "{id} of {what} differs:\n{}\n{}",
            bson::Document::try_from(&*built).unwrap(),
            bson::Document::try_from(&*recorded).unwrap(),
        );
    }
    let more: Vec<&String> = built.keys().filter(|id| !recorded.contains_key(*id)).collect();
    assert!(more.is_empty(), "{what} has none of {more:?}");
}

/// The name of the stream that a commit belongs to.
pub(crate) fn stream_of(commit: &RawDocument) -> &str {
    Commit::stream_of(commit, &Layout::default()).unwrap()
}

/// The indexes of both targets, as MongoDB lists them, without the one on `_id`.
pub(crate) fn indexes() -> Vec<(String, Vec<(String, i32)>)> {
    let contents = Contents::new();
    let targets = contents.spec().targets();
    let [all, published] = targets else { panic!("{} targets", targets.len()) };
    assert_eq!(all.indexes(), published.indexes());
    let index = |index: &statefold_projections::IndexDefinition| {
        assert!(!index.is_unique());
        let keys = index.keys().iter().map(|(key, direction)| (key.clone(), direction.as_i32()));
        (index.name(), keys.collect())
    };
    all.indexes().iter().map(index).collect()
}
