//! A whole run: fixture, reference, variants of the read floor, then all rounds.

use std::collections::BTreeMap;

use bson::{Document, doc};
use mongodb::Database;

use crate::args::RunArgs;
use crate::compare::{Verdict, with_reference};
use crate::contender::{self, Contender};
use crate::database::{self, REFERENCE, clear_up, connect, count, in_prefix};
use crate::error::Result;
use crate::job::{Job, Task};
use crate::machine::{Machine, Versions};
use crate::outcome::Outcome;
use crate::results::{Fixture, Results};
use crate::rows::{INDEXED, PARTS, PLAIN, PROGRAM};
use crate::{bars, fixture, rows, squidex, table};

/// Numbers of ranges and batch sizes that are tried for the read floor.
const RANGES: [u32; 3] = [1, 2, 4];
const BATCHES: [u32; 3] = [500, 1000, 2000];
/// Tries of each combination; the best time counts.
const TRIES: u32 = 2;

/// The context of all steps.
struct Bench {
    db: Database,
    uri: String,
    server: u32,
}

/// Runs everything and writes the results.
///
/// # Errors
/// If a contender fails, or its result differs.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let db = connect(&args.uri, &fixture::database_name(args.commits)).await?;
    fixture::ensure(&db, &args.uri, args.commits).await?;
    let bench = Bench { server: database::server_pid(&db).await?, db, uri: args.uri.clone() };
    let strategies = contender::strategies(&args.strategies)?;
    let fixture = bench.reference(&args).await?;
    let (read_variants, read) = bench.read_variants(&args, fixture.prefix_commits).await?;
    let contenders = contender::all(&args, &strategies, read.clone())?;
    let (outcomes, compared) = bench.rounds(&contenders, args.rounds, &fixture).await?;
    clear_up(&bench.db).await?;
    let server = bench.db.run_command(doc! { "buildInfo": 1 }).await?;
    let mut results = Results {
        rows: rows::rows(&outcomes, fixture.events),
        fixture,
        cache_gb: args.cache_gb,
        rounds: args.rounds,
        default_strategy: strategies.into_iter().next().unwrap_or_default(),
        memory: args.memory,
        machine: Machine::here(),
        versions: Versions::now(server.get_str("version")?.to_owned(), &args.revision),
        read_variants,
        read_floor: described(&read),
        compared,
        outcomes,
        bars: Vec::new(),
    };
    results.bars = bars::of_run(&results);
    show(&results);
    println!("\nwritten to {}", results.save(&args.out)?.display());
    Ok(())
}

impl Bench {
    fn job(&self, task: &Task) -> Result<Outcome> {
        let job = Job { uri: self.uri.clone(), database: self.db.name().to_owned(), task: task.clone() };
        tokio::task::block_in_place(|| job.spawn(self.server))
    }

    /// Makes the reference, the snapshots that all results have to be equal to, with Squidex's
    /// algorithm. This also warms the caches.
    async fn reference(&self, args: &RunArgs) -> Result<Fixture> {
        println!("making the reference (Squidex's algorithm, not measured)");
        clear_up(&self.db).await?;
        let outcome = self.job(&Task::Squidex { batch: 1000, indexes: false })?;
        let name = self.db.name();
        let rename = doc! {
            "renameCollection": format!("{name}.{}", squidex::COLLECTION),
            "to": format!("{name}.{REFERENCE}"), "dropTarget": true,
        };
        self.db.client().database("admin").run_command(rename).await?;
        Ok(Fixture {
            commits: args.commits,
            seed: fixture::SEED,
            prefix_commits: count(&self.db, in_prefix()).await?,
            events: outcome.events,
            snapshots: outcome.documents,
        })
    }

    /// Tries the variants of the read floor and returns their times and the best variant.
    async fn read_variants(&self, args: &RunArgs, commits: u64) -> Result<(Vec<(String, f64)>, Task)> {
        let mut best = (f64::INFINITY, Task::Read { ranges: 2, batch: 1000 });
        let mut tried = Vec::new();
        if !args.contenders.iter().any(|name| name == "read") {
            return Ok((tried, best.1));
        }
        for (ranges, batch) in RANGES.into_iter().flat_map(|ranges| BATCHES.map(|batch| (ranges, batch))) {
            let task = Task::Read { ranges, batch };
            let mut seconds = f64::INFINITY;
            for _ in 0..TRIES {
                clear_up(&self.db).await?;
                let outcome = self.job(&task)?;
                check_count("the read floor", outcome.documents, commits)?;
                seconds = seconds.min(outcome.seconds);
            }
            println!("read floor, {}: {} s", described(&task), table::seconds(seconds));
            tried.push((described(&task), seconds));
            if seconds < best.0 {
                best = (seconds, task);
            }
        }
        Ok((tried, best.1))
    }

    async fn rounds(
        &self,
        contenders: &[Contender],
        rounds: u32,
        fixture: &Fixture,
    ) -> Result<(BTreeMap<String, Vec<Outcome>>, BTreeMap<String, String>)> {
        let (mut outcomes, mut compared) = (BTreeMap::<String, Vec<Outcome>>::new(), BTreeMap::new());
        for round in 0..rounds {
            for at in contender::order(contenders.len(), round, rounds) {
                let Some(contender) = contenders.get(at) else { continue };
                clear_up(&self.db).await?;
                let outcome = self.job(&contender.task)?;
                let name = &contender.name;
                println!("round {} of {rounds}: {name}: {} s", round + 1, table::seconds(outcome.seconds));
                if let Some(verdict) = self.check(contender, &outcome, fixture).await? {
                    compared.insert(name.clone(), verdict);
                }
                outcomes.entry(name.clone()).or_default().push(outcome);
            }
        }
        Ok((outcomes, compared))
    }

    /// Checks the result of a contender, and returns how it compares with the reference.
    async fn check(&self, who: &Contender, outcome: &Outcome, fixture: &Fixture) -> Result<Option<String>> {
        let name = &who.name;
        let commits = matches!(who.task, Task::Read { .. });
        let documents = if commits { fixture.prefix_commits } else { fixture.snapshots };
        if !matches!(who.task, Task::Aggregation) {
            check_count(name, outcome.documents, documents)?;
        }
        let Some(collection) = &outcome.collection else { return Ok(None) };
        check_count(&format!("{name}, events"), outcome.events, fixture.events)?;
        let indexes = database::secondary_indexes(&self.db, collection).await?;
        let wanted = match who.task {
            Task::Squidex { indexes, .. } | Task::Pymongo { indexes, .. } => indexes,
            _ => true,
        };
        let definitions = database::projection()?;
        let all: usize = definitions.spec().targets().iter().map(|target| target.indexes().len()).sum();
        check_count(&format!("{name}, indexes"), indexes as u64, if wanted { all as u64 } else { 0 })?;
        let verdict = with_reference(&self.db, collection).await?;
        self.db.collection::<Document>(collection).drop().await?;
        Ok(Some(match verdict {
            Verdict::Identical => "identical".into(),
            Verdict::Reordered(documents) => format!("equal, {documents} documents in another field order"),
        }))
    }
}

fn check_count(what: &str, actual: u64, expected: u64) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what}: {actual}, expected {expected}").into())
}

fn described(task: &Task) -> String {
    match task {
        Task::Read { ranges: 1, batch } => format!("1 range, batches of {batch}"),
        Task::Read { ranges, batch } => format!("{ranges} ranges, batches of {batch}"),
        other => format!("{other:?}"),
    }
}

fn show(results: &Results) {
    let fixture = &results.fixture;
    println!(
        "\n{} commits, {} of them and {} events of the projection, {} snapshots; cache {} GB, {} rounds",
        table::count(fixture.commits),
        table::count(fixture.prefix_commits),
        table::count(fixture.events),
        table::count(fixture.snapshots),
        results.cache_gb,
        results.rounds
    );
    for group in [PLAIN, INDEXED, PROGRAM, PARTS] {
        let rows = results.rows.iter().filter(|row| row.group == group);
        let rows: Vec<_> = rows.map(table::cells).collect();
        println!("\n{group}\n{}", table::aligned(table::TITLES, &rows));
    }
    for (name, verdict) in &results.compared {
        println!("result of {name}: {verdict}");
    }
    let bars: Vec<_> = results.bars.iter().map(table::bar_cells).collect();
    println!("\n{}", table::aligned(["bar", "wanted", "value", "met"], &bars));
}
