//! A rebuild beside a live application: what each costs the other.
//!
//! Each round measures the writers alone, the rebuild alone, and both together. The commits that were
//! appended are removed afterwards, so that the event store stays the one that all runs read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::{Document, Timestamp, doc};
use futures::future::try_join_all;
use mongodb::{Collection, Database};

use crate::args::LiveArgs;
use crate::database::{self, EVENTS, clear_up, connect};
use crate::error::Result;
use crate::job::{Job, Task};
use crate::statefold::DEFAULT;
use crate::{fixture, table};

/// Writers that share the rate.
const WRITERS: u64 = 8;
/// Time for which the writers are measured without a rebuild.
const ALONE: Duration = Duration::from_secs(5);
/// Streams of the writers begin so.
const STREAMS: &str = "asset-live--";
/// Commits of a stream, after which another one begins.
const COMMITS_PER_STREAM: u64 = 4;

/// Times of the rounds.
#[derive(Default)]
struct Times {
    /// 99th percentile of an insert in milliseconds: alone, and beside the rebuild.
    insert_ms: [Vec<f64>; 2],
    /// Time of the rebuild in seconds: alone, and beside the writers.
    rebuild_seconds: [Vec<f64>; 2],
    /// Commits a second that were appended beside the rebuild.
    rate: Vec<f64>,
}

/// Runs all rounds and prints the medians.
///
/// # Errors
/// An error of the server, or a rebuild that fails.
pub(crate) async fn run(args: LiveArgs) -> Result<()> {
    let db = connect(&args.uri, &fixture::database_name(args.commits)).await?;
    fixture::ensure(&db, &args.uri, args.commits).await?;
    let mut times = Times::default();
    for round in 0..args.rounds {
        clear_up(&db).await?;
        let (taken, _) = written(&db, args.rate, || async {
            tokio::time::sleep(ALONE).await;
            Ok(())
        })
        .await?;
        times.insert_ms[0].push(percentile(taken, 99));
        clear_up(&db).await?;
        times.rebuild_seconds[0].push(rebuild(&args, &db).await?);
        clear_up(&db).await?;
        let (taken, seconds) = written(&db, args.rate, || rebuild(&args, &db)).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        times.rate.push(taken.len() as f64 / seconds);
        times.insert_ms[1].push(percentile(taken, 99));
        times.rebuild_seconds[1].push(seconds);
        println!("round {} of {}: rebuild {} s", round + 1, args.rounds, table::seconds(seconds));
    }
    clear_up(&db).await?;
    show(&args, times);
    Ok(())
}

/// Rebuilds in a process of its own, and returns its time in seconds.
async fn rebuild(args: &LiveArgs, db: &Database) -> Result<f64> {
    let task = Task::Statefold { strategy: DEFAULT.to_owned(), memory: None };
    let job = Job { uri: args.uri.clone(), database: db.name().to_owned(), task };
    let server = database::server_pid(db).await?;
    Ok(tokio::task::spawn_blocking(move || job.spawn(server)).await??.seconds)
}

/// Lets the writers append while something is done. Returns the milliseconds that each insert took, and what
/// was done gave.
async fn written<T, F: Future<Output = Result<T>>>(
    db: &Database,
    rate: u64,
    doing: impl FnOnce() -> F,
) -> Result<(Vec<f64>, T)> {
    let (events, stop) = (db.collection::<Document>(EVENTS), Arc::new(AtomicBool::new(false)));
    let number = Arc::new(AtomicU64::new(0));
    let pause = Duration::from_secs(1) * u32::try_from(WRITERS)? / u32::try_from(rate.max(1))?;
    let tasks = (0..WRITERS).map(|_| {
        let (events, stop, number) = (events.clone(), Arc::clone(&stop), Arc::clone(&number));
        tokio::spawn(async move { write(&events, pause, &stop, &number).await })
    });
    let tasks: Vec<_> = tasks.collect();
    let done = doing().await;
    stop.store(true, Ordering::Relaxed);
    let taken = try_join_all(tasks).await?.into_iter().collect::<Result<Vec<_>>>()?;
    events.delete_many(doc! { "EventStream": { "$gte": STREAMS, "$lt": "asset-live-." } }).await?;
    Ok((taken.into_iter().flatten().collect(), done?))
}

async fn write(
    events: &Collection<Document>,
    pause: Duration,
    stop: &AtomicBool,
    number: &AtomicU64,
) -> Result<Vec<f64>> {
    let (mut taken, mut next) = (Vec::new(), tokio::time::interval(pause));
    while !stop.load(Ordering::Relaxed) {
        let stream = number.fetch_add(1, Ordering::Relaxed);
        for offset in -1..i64::try_from(COMMITS_PER_STREAM)? - 1 {
            next.tick().await;
            let commit = commit(stream, offset);
            let began = Instant::now();
            // As Squidex writes: a validator that refuses for a moment is met again.
            while let Err(error) = events.insert_one(&commit).await {
                if !is_refused(&error) {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            taken.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(taken)
}

/// Whether the fence of a cut-over refused it.
fn is_refused(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{ErrorKind, WriteFailure};
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == 121)
}

/// A commit of an asset: it is created, then renamed.
fn commit(stream: u64, offset: i64) -> Document {
    let id = bson::Uuid::new().to_string();
    let (kind, own) = match offset {
        -1 => ("AssetCreatedEventV2", r#""fileHash":"h","mimeType":"image/png","fileSize":1024,"tags":[]"#),
        _ => ("AssetAnnotatedEvent", r#""slug":null,"tags":null"#),
    };
    let payload = format!(
        r#"{{"fileName":"{id}.png",{own},"assetId":"{stream}","appId":"live,live","actor":"subject:writer"}}"#
    );
    let key = format!("live--{stream}");
    doc! {
        "_id": &id, "Timestamp": Timestamp { time: 0, increment: 0 },
        "Events": [{ "Type": kind, "Payload": payload, "Metadata": {
            "EventId": &id, "Timestamp": "2026-01-01T00:00:00Z", "AggregateId": &key, "CommitId": &id,
        } }],
        "EventStreamOffset": offset, "EventsCount": 1_i64, "EventStream": format!("asset-{key}"),
    }
}

/// The value below which so many percent of them lie; 0 of none.
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn show(args: &LiveArgs, times: Times) {
    let Times { insert_ms, rebuild_seconds, rate } = times;
    let [insert_alone, insert_beside] = insert_ms.map(|values| percentile(values, 50));
    let [rebuild_alone, rebuild_beside] = rebuild_seconds.map(|values| percentile(values, 50));
    println!(
        "\n{} commits, {WRITERS} writers that want {} commits a second together and had {:.0} beside the \
         rebuild; medians of {} rounds",
        table::count(args.commits),
        args.rate,
        percentile(rate, 50),
        args.rounds
    );
    println!(
        "rebuild: {} s alone, {} s beside the writers ({:.2} times; wanted 1.5)",
        table::seconds(rebuild_alone),
        table::seconds(rebuild_beside),
        rebuild_beside / rebuild_alone
    );
    println!(
        "99th percentile of an insert: {insert_alone:.1} ms alone, {insert_beside:.1} ms beside the rebuild \
         ({:.1} times; wanted 3)",
        insert_beside / insert_alone
    );
}
