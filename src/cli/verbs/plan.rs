//! `statefold plan`, which `rebuild` shows too without `--yes`.

use bytesize::ByteSize;
use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, SharingArgs, TuningArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{count, number, or_dash, seconds, table};
use crate::cli::settings::{Raw, load};
use crate::cli::text::event_store::no_event_store;
use crate::cli::text::generations::redefined;
use crate::cli::text::rights;
use crate::config::Settings;
use crate::engine::capacity::CapacityPlan;
use crate::error::Result;
use crate::operator::{PlanReport, preview};
use crate::plan::{ShardPlan, Strategy, WorkersPlan};

impl PlanArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Plan, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.grant.then(|| "--grant".to_owned()))
    }
}

pub(in crate::cli) async fn run(
    args: &PlanArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let sharing = SharingArgs { workers: args.workers, ..SharingArgs::default() };
    let raw = Raw { tuning: Some(&args.tuning), sharing: Some(&sharing), ..Raw::default() };
    let settings = load(&args.connection, &raw)?.settings;
    if args.grant {
        let report = preview(&settings, registry, &args.projections).await?;
        output.result(&rights::roles(&report.missing_rights), |_| rights::grants(&report.missing_rights));
        return Ok(0);
    }
    show(&settings, registry, &args.projections, command, output).await?;
    Ok(0)
}

/// Prints the plan.
pub(in crate::cli) async fn show(
    settings: &Settings,
    registry: &Registry,
    projections: &[String],
    command: &Command,
    output: &Output,
) -> Result<PlanReport> {
    let report = preview(settings, registry, projections).await?;
    output.result(&report, |report| text(report, command));
    Ok(report)
}

fn capacity_text(capacity: &CapacityPlan) -> String {
    let known = |bytes: Option<u64>| {
        bytes.map_or_else(|| "an unknown size".to_owned(), |bytes| ByteSize(bytes).to_string())
    };
    let mut text = format!(
        "\ncapacity: ~{} on disk of {} free",
        ByteSize(capacity.disk_bytes),
        known(capacity.disk_free_bytes)
    );
    if let (Some(bytes), Some(seconds)) = (capacity.oplog_bytes, capacity.oplog_seconds) {
        let window = humantime::format_duration(std::time::Duration::from_secs(seconds));
        let added = ByteSize(capacity.oplog_added_bytes);
        text.push_str(&format!(
            "; ~{added} into an oplog of {}, which reaches back {window} now",
            ByteSize(bytes)
        ));
    }
    for shortage in &capacity.shortages {
        text.push_str(&format!("\nrefused unless --ignore-margin: {shortage}"));
    }
    text
}

/// The shards of the event store, and how they are read.
fn shards_text(shards: &[ShardPlan]) -> String {
    if shards.is_empty() {
        return String::new();
    }
    let named: Vec<String> = shards
        .iter()
        .map(|shard| format!("{} ({})", shard.shard, count(shard.chunks as u64, "chunk", "chunks")))
        .collect();
    let how = if shards.iter().all(|shard| shard.by_stream) {
        "each partition is read from one of them, and all of them at the same time"
    } else {
        "streams are spread by another key: each partition is read from all of them"
    };
    format!("\nshards of the event store: {}; {how}", named.join(", "))
}

/// What several processes take, in each order that they can share, and which of them it would be.
fn shared_text(report: &PlanReport) -> String {
    let Some(shared) = &report.shared else { return String::new() };
    let of = |strategy| {
        let plans = report.workers.iter().filter(move |plan| plan.strategy == strategy).copied();
        workers_text(strategy, &plans.collect::<Vec<_>>())
    };
    let (stream, exchange) = (of(Strategy::Stream), of(Strategy::Exchange));
    format!("{stream}{exchange}\nWith several processes it would be {}: {}.", shared.strategy, shared.reason)
}

/// What several processes take, and from where on the server is the limit.
fn workers_text(strategy: Strategy, plans: &[WorkersPlan]) -> String {
    let Some(most) = plans.last() else { return String::new() };
    let rows = plans.iter().map(|plan| {
        [
            plan.workers.to_string(),
            format!("~{}", seconds(plan.seconds)),
            format!("{:.1}", plan.reads_per_commit),
            ByteSize(plan.memory_bytes).to_string(),
            format!("{:.0} %", plan.server_load * 100.0),
        ]
    });
    let header = ["workers", "time", "reads a commit", "memory of each", "server busy"];
    let limit = plans.iter().find(|plan| plan.server_load >= 0.99);
    let limit = match limit {
        Some(plan) => {
            format!("From {} on the server is the limit.", count(plan.workers.into(), "worker", "workers"))
        }
        None => {
            format!("The server isn't the limit up to {}.", count(most.workers.into(), "worker", "workers"))
        }
    };
    let how = match strategy {
        Strategy::Exchange => "with an exchange (natural order)",
        _ => "in stream order",
    };
    format!("\nbuilt together {how}:\n{}\n{limit}", table(header, rows))
}

fn text(report: &PlanReport, command: &Command) -> String {
    if !report.has_event_store {
        return no_event_store(&report.database, &report.databases_with_events);
    }
    let header = [
        "projection",
        "version",
        "generation",
        "active",
        "commits",
        "partitions",
        "snapshots",
        "size",
        "time",
    ];
    let rows = report.projections.iter().map(|plan| {
        let estimate = &plan.estimate;
        [
            plan.projection.clone(),
            plan.projection_version.to_string(),
            plan.collections.join(" "),
            or_dash(plan.active_generation),
            format!("~{}", number(estimate.commits)),
            plan.partitions.to_string(),
            format!("~{}", number(estimate.snapshots)),
            format!("~{}", ByteSize(estimate.snapshot_bytes)),
            format!("~{}", seconds(estimate.seconds)),
        ]
    });
    let mut text = format!("{} on MongoDB {}\n", report.database, report.server_version);
    text.push_str(&table(header, rows));
    if let Some(pass) = &report.pass {
        let cache =
            pass.cache_bytes.map_or_else(|| "unknown".to_owned(), |bytes| ByteSize(bytes).to_string());
        text.push_str(&format!(
            "\nstrategy: {} order: {}\nevent store: {} commits, {}; server cache {cache}; {} cursors and as \
             many writers; memory ~{} of {}; ~{}",
            pass.strategy,
            pass.reason,
            number(pass.store_commits),
            ByteSize(pass.store_bytes),
            pass.readers,
            ByteSize(if pass.strategy == Strategy::Natural { pass.state_bytes } else { 0 }),
            ByteSize(pass.memory_bytes),
            seconds(pass.seconds),
        ));
    }
    for plan in &report.projections {
        if !plan.indexes.is_empty() {
            text.push_str(&format!("\n{}: then the indexes {}", plan.projection, plan.indexes.join(", ")));
        }
        let verify = &plan.verify_seconds;
        text.push_str(&format!(
            "\n{}: then the proof, ~{} and beside the index builds (--verify full ~{}, heads ~{})",
            plan.projection,
            seconds(verify.proof),
            seconds(verify.full),
            seconds(verify.heads),
        ));
        if plan.redefined {
            text.push_str(&redefined(&plan.projection, plan.projection_version));
        }
        if let Some(open) = &plan.resumable {
            let fate = if open.same_definition {
                "would be resumed"
            } else {
                "would be given up: its definition changed"
            };
            text.push_str(&format!(
                "\n{}: the unfinished build {} ({}, {} of {} partitions done) {fate}",
                plan.projection, open.build, open.state, open.partitions_done, open.partitions
            ));
        }
    }
    text.push_str("\nTimes are estimates from a sample read just now; index builds come on top.");
    text.push_str(&shards_text(&report.shards));
    text.push_str(&shared_text(report));
    if let Some(weakness) = &report.weakness {
        text.push_str(&format!("\nnote: {weakness}"));
    }
    if let Some(capacity) = &report.capacity {
        text.push_str(&capacity_text(capacity));
    }
    text.push_str(&rights::missing(&report.missing_rights, command));
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if let Some(holder) = &report.lock_held {
        text.push_str(&format!(
            "\nnote: the migration lock is held {holder}: a rebuild builds beside it, its cut-over waits for it"
        ));
    }
    text
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArgs {
    /// Projections, by name without case [default: all]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Print the commands that grant what this user lacks, by step, for mongosh
    #[arg(long)]
    grant: bool,
    /// Also say what 1, 2, 4, … processes would take, up to so many
    #[arg(long, value_name = "N", env = "STATEFOLD_WORKERS")]
    workers: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
