//! All projections of Squidex in one pass, and contents alone, each against its floor: reading its commits,
//! and writing and indexing what comes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::{Document, RawDocumentBuf, doc};
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::options::WriteConcern;
use statefold::projections::Spec;
use statefold::squidex;

use crate::args::KindsArgs;
use crate::database::{REFERENCE, all, clear_up, connect, create_these, run_raw, server_pid};
use crate::error::Result;
use crate::fixture;
use crate::job::{Job, Task};
use crate::live::percentile;
use crate::meter::Meter;
use crate::outcome::Outcome;
use crate::write::insert;
use crate::{read, table};

/// Numbers of ranges and batch size of the reading floor: the best in most runs of the other benchmark.
const READ: (u32, u32) = (2, 1000);
const WRITERS: usize = 2;
const DOCUMENTS_PER_BATCH: usize = 1000;

/// What is measured.
struct Subject {
    name: &'static str,
    /// Projections that have to be built before.
    before: &'static [&'static str],
    projections: &'static [&'static str],
    /// How much longer than the floor it may take.
    wanted: f64,
}

const SUBJECTS: [Subject; 2] = [
    Subject { name: "contents", before: &["Apps", "Schemas"], projections: &["Contents"], wanted: 1.6 },
    Subject {
        name: "all seven",
        before: &[],
        projections: &["Apps", "Teams", "Schemas", "Rules", "Assets", "AssetFolders", "Contents"],
        wanted: 1.5,
    },
];

/// Times of a subject, a number for each round.
#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    floor: Vec<f64>,
    client_cpu: Vec<f64>,
    peak_mb: Vec<f64>,
    digests: Option<String>,
    events: u64,
    snapshots: u64,
}

/// Runs all rounds and prints the medians.
///
/// # Errors
/// An error of the server, a rebuild that fails, or one with another digest than the first.
pub(crate) async fn run(args: KindsArgs) -> Result<()> {
    let db = connect(&args.uri, &format!("bench_kinds_{}", args.commits)).await?;
    fixture::ensure_with(&db, &args.uri, args.commits, &["--kinds", "all"]).await?;
    let server = server_pid(&db).await?;
    let done = |task: Task| {
        let job = Job { uri: args.uri.clone(), database: db.name().to_owned(), task };
        async move { tokio::task::spawn_blocking(move || job.spawn(server)).await? }
    };
    let mut times: [Times; SUBJECTS.len()] = Default::default();
    for round in 0..args.rounds {
        for (subject, times) in SUBJECTS.iter().zip(&mut times) {
            let rebuild = |names: &[&str]| Task::Kinds {
                projections: names.iter().map(|name| (*name).to_owned()).collect(),
                memory: args.memory.clone(),
            };
            clear_up(&db).await?;
            if !subject.before.is_empty() {
                done(rebuild(subject.before)).await?;
            }
            let built = done(rebuild(subject.projections)).await?;
            times.note(subject, &built)?;
            keep(&db, subject).await?;
            clear_up(&db).await?;
            let projections = subject.projections.iter().map(|name| (*name).to_owned()).collect();
            let floor = done(Task::Floor { projections }).await?;
            times.floor.push(floor.seconds);
            println!(
                "round {} of {}: {}: {} s, floor {} s (read {}, write {}, indexes {})",
                round + 1,
                args.rounds,
                subject.name,
                table::seconds(built.seconds),
                table::seconds(floor.seconds),
                table::seconds(floor.part("read")),
                table::seconds(floor.part("write")),
                table::seconds(floor.part("index")),
            );
        }
    }
    for (subject, times) in SUBJECTS.iter().zip(times) {
        show(subject, times);
    }
    drop_references(&db).await
}

impl Times {
    fn note(&mut self, subject: &Subject, built: &Outcome) -> Result<()> {
        self.whole.push(built.seconds);
        self.client_cpu.push(built.client_cpu_seconds);
        self.peak_mb.push(built.client_peak_mb);
        (self.events, self.snapshots) = (built.events, built.documents);
        match self.digests.replace(built.collection.clone().unwrap_or_default()) {
            Some(before) if self.digests.as_ref() != Some(&before) => {
                Err(format!("{}: other digests than before: {before}", subject.name).into())
            }
            _ => Ok(()),
        }
    }
}

fn specs(projections: &[impl AsRef<str>]) -> Result<Vec<Spec>> {
    let registry = squidex::registry();
    projections.iter().map(|name| Ok(registry.get(name.as_ref())?.spec().clone())).collect()
}

/// Names of a target's generation, and of its copy for the floor.
fn names(target: &statefold::projections::Target, spec: &Spec) -> [String; 2] {
    let generation = target.generation(spec.first());
    [generation.clone(), format!("{REFERENCE}_{generation}")]
}

/// Keeps what was built, to be written once more by the floor.
async fn keep(db: &Database, subject: &Subject) -> Result<()> {
    for spec in specs(subject.projections)? {
        for target in spec.targets() {
            let [from, to] = names(target, &spec).map(|name| format!("{}.{name}", db.name()));
            let rename = doc! { "renameCollection": from, "to": to, "dropTarget": true };
            db.client().database("admin").run_command(rename).await?;
        }
    }
    Ok(())
}

async fn drop_references(db: &Database) -> Result<()> {
    clear_up(db).await?;
    for name in db.list_collection_names().await? {
        if name.starts_with(REFERENCE) {
            db.collection::<Document>(&name).drop().await?;
        }
    }
    Ok(())
}

/// A batch of documents of one collection.
type Batch = (String, Vec<RawDocumentBuf>);

/// Reads the commits of these projections, then writes what was built, then indexes it. Parts: `read`,
/// `write`, `index`.
///
/// # Errors
/// An error of the server.
pub(crate) async fn floor(db: &Database, projections: &[String]) -> Result<Outcome> {
    let (server, specs) = (server_pid(db).await?, specs(projections)?);
    let (mut batches, mut targets) = (Vec::new(), Vec::new());
    for spec in &specs {
        for target in spec.targets() {
            let [generation, reference] = names(target, spec);
            let documents = all(db, &reference).await?;
            let chunks = documents.chunks(DOCUMENTS_PER_BATCH);
            batches.extend(chunks.map(|chunk| (generation.clone(), chunk.to_vec())));
            targets.push((generation, target));
        }
    }
    let ranges = specs.iter().map(|spec| {
        let streams = spec.stream_filter();
        doc! { "EventStream": { "$gte": streams.first(), "$lt": streams.end() } }
    });
    // In one pass, by what all of them need.
    let filter = doc! { "$or": ranges.collect::<Vec<Document>>() };
    let meter = Meter::start(server)?;
    let documents = read::all(db, &filter, READ.0, READ.1).await?;
    let read_seconds = meter.seconds();
    write(db, batches).await?;
    let write_seconds = meter.seconds() - read_seconds;
    futures::stream::iter(&targets)
        .map(|(generation, target)| create_these(db, generation, target.indexes().iter()))
        .buffer_unordered(WRITERS)
        .try_collect::<()>()
        .await?;
    let index_seconds = meter.seconds() - write_seconds - read_seconds;
    let parts = [("read", read_seconds), ("write", write_seconds), ("index", index_seconds)];
    Ok(Outcome {
        documents,
        parts: parts.map(|(name, seconds)| (name.to_owned(), seconds)).into(),
        ..Outcome::of(&meter.stop()?)
    })
}

/// Inserts all batches, with two writers, and waits until a majority has them.
async fn write(db: &Database, batches: Vec<Batch>) -> Result<()> {
    let (batches, next) = (Arc::new(batches), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (db, batches, next) = (db.clone(), Arc::clone(&batches), Arc::clone(&next));
            tokio::spawn(async move {
                while let Some((name, documents)) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run_raw(&db, insert(name, documents)).await?;
                }
                Ok::<_, crate::error::Failure>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let barrier = db.collection("Bench_Barrier");
    barrier.insert_one(doc! {}).write_concern(WriteConcern::majority()).await?;
    Ok(())
}

fn show(subject: &Subject, times: Times) {
    let [whole, floor, cpu, peak] =
        [times.whole, times.floor, times.client_cpu, times.peak_mb].map(|values| percentile(values, 50));
    println!(
        "\n{}: {} events, {} snapshots: {} s, {:.2} × its floor of {} s (wanted {}); client {cpu:.2} \
         processor seconds, {peak:.0} MB; digests equal in all rounds",
        subject.name,
        table::count(times.events),
        table::count(times.snapshots),
        table::seconds(whole),
        whole / floor,
        table::seconds(floor),
        subject.wanted,
    );
}
