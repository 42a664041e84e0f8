//! `statefold verify`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, TuningArgs};
use crate::cli::command::Command;
use crate::cli::exit::{EXIT_MISMATCH, Failed};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, seconds, table};
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, settings};
use crate::cli::text::differences::verdict;
use crate::cli::text::event_store::no_event_store;
use crate::lifecycle::Share;
use crate::operator::{Verification, VerifyReport, verify};

pub(in crate::cli) async fn run(
    args: &VerifyArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let mut verb = vec!["verify".to_owned()];
    verb.extend(args.projections.iter().cloned());
    verb.extend(args.collections.iter().map(|name| format!("--collection {name}")));
    let command = Command::new(verb.join(" "), &args.connection);
    let failed = |error| Failed::new(error, &command);
    let raw = Raw { tuning: Some(&args.tuning), ..Raw::default() };
    let (settings, _) = settings(&args.connection, &raw).map_err(failed)?;
    let request = Verification {
        projections: args.projections.clone(),
        collections: args.collections.clone(),
        share: args.sample,
    };
    let begin = || verify(&settings, registry, request);
    let interval = Duration::from_secs(args.interval);
    let report = watch::watched(begin, None, interval, output).await.map_err(failed)?;
    output.result(&report, |report| text(report, settings.database()));
    Ok(if report.is_equal() { 0 } else { EXIT_MISMATCH })
}

fn text(report: &VerifyReport, database: &str) -> String {
    if report.projections.is_empty() {
        return no_event_store(database, &report.databases_with_events);
    }
    let header = ["projection", "collections", "streams", "snapshots", "missing", "extra", "differing"];
    let rows = report.projections.iter().map(|one| {
        [
            one.projection.clone(),
            one.collections.join(" "),
            number(one.streams),
            number(one.snapshots),
            number(one.missing),
            number(one.extra),
            number(one.differing),
        ]
    });
    let mut text = table(header, rows);
    for one in &report.projections {
        text.push_str(&format!("\n{}", verdict(one)));
    }
    text.push_str(&format!("\nFolded and compared in {}", seconds(report.seconds)));
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
    /// Compare only a share of the streams, as 5%: always the same ones
    #[arg(long, value_name = "P%", default_value = "100%")]
    pub(in crate::cli) sample: Share,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) interval: u64,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
