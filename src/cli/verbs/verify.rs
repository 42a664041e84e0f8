//! `statefold verify`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, IntervalArgs, TuningArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::exit::EXIT_MISMATCH;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, seconds, table};
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, load};
use crate::cli::text::differences::verdict;
use crate::cli::text::event_store::no_event_store;
use crate::error::Result;
use crate::lifecycle::Share;
use crate::operator::{Verification, VerifyReport, verify};

impl VerifyArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Verify, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.collections.iter().map(|name| format!("--collection {name}")))
    }
}

pub(in crate::cli) async fn run(args: &VerifyArgs, registry: &Registry, output: &Output) -> Result<u8> {
    let raw = Raw { tuning: Some(&args.tuning), ..Raw::default() };
    let settings = load(&args.connection, &raw)?.settings;
    let request = Verification {
        projections: args.projections.clone(),
        collections: args.collections.clone(),
        share: args.sample,
        full: args.full,
    };
    let begin = || verify(&settings, registry, request);
    let interval = args.interval.interval();
    let report = watch::watched(begin, None, interval, output).await?;
    output.result(&report, |report| text(report, settings.database()));
    let is_wrong = report.differs() || args.strict && report.is_stale();
    Ok(if is_wrong { EXIT_MISMATCH } else { 0 })
}

fn text(report: &VerifyReport, database: &str) -> String {
    if report.projections.is_empty() {
        return no_event_store(database, &report.databases_with_events);
    }
    let header =
        ["projection", "collections", "streams", "snapshots", "missing", "extra", "differing", "stale"];
    let rows = report.projections.iter().map(|verified| {
        [
            verified.projection.clone(),
            verified.collections.join(" "),
            number(verified.streams),
            number(verified.snapshots),
            number(verified.missing),
            number(verified.extra),
            number(verified.differing),
            number(verified.stale),
        ]
    });
    let mut text = table(header, rows);
    for verified in &report.projections {
        text.push_str(&format!("\n{}", verdict(verified)));
    }
    let all_proven = report.projections.iter().all(|verified| verified.proven_by.is_some());
    let how = if all_proven { "Proven" } else { "Folded and compared" };
    text.push_str(&format!("\n{how} in {}", seconds(report.seconds)));
    text
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Projections, by name without case [default: all that have an active generation]
    pub(in crate::cli) projections: Vec<String>,
    /// An existing collection to verify instead of the active generation, whoever built it; once for each
    /// target of the projection, in order
    #[arg(long = "collection", value_name = "NAME")]
    pub(in crate::cli) collections: Vec<String>,
    /// Fold every stream once more, also of a generation that only statefold wrote: without it that is
    /// proven, by the digest that was kept, the last commits of all streams, and a sample
    #[arg(long, conflicts_with = "sample")]
    pub(in crate::cli) full: bool,
    /// Compare only a share of the streams, as 5%: always the same ones
    #[arg(long, value_name = "P%", default_value = "100%")]
    pub(in crate::cli) sample: Share,
    /// Exit with 5 also if snapshots are only stale: right but for what they say of other projections, as
    /// references, which an application may refresh later
    #[arg(long)]
    pub(in crate::cli) strict: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
