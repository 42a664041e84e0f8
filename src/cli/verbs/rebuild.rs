//! `statefold rebuild`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{ChecksArgs, Connection, LeaseArgs, ReadersArgs, ThrottleArgs, TuningArgs};
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, settings};
use crate::cli::text::event_store::no_event_store;
use crate::cli::text::generations::built_text;
use crate::cli::verbs::plan;
use crate::config::Throttle;
use crate::engine::run::{Rebuild, RebuildReport};
use crate::operator::rebuild;

pub(in crate::cli) async fn run(
    args: &RebuildArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let command = typed(args, false);
    let failed = |error| Failed::new(error, &command);
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        politeness: Some(&args.politeness),
        attempts: None,
        max_errors: args.checks.max_errors.as_deref(),
        verify: args.checks.verify.as_deref(),
        ..Raw::default()
    };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    let politeness = Throttle { ignore_margin: args.ignore_margin, ..settings.throttle().clone() };
    let settings = settings.with_throttle(politeness);
    if !args.connection.yes {
        let code = plan::show(&settings, registry, &args.projections, output, &command).await?;
        let again = typed(args, args.fresh).again();
        output.note(&format!("Nothing was changed. To do it: {again}"));
        return Ok(code);
    }
    let request = Rebuild {
        projections: args.projections.clone(),
        fresh: args.fresh,
        mode: args.readers.mode,
        postpone: args.postpone,
        force: args.readers.force,
    };
    let listen = args.listen.clone().or(listen);
    let interval = Duration::from_secs(args.interval);
    let begin = || rebuild(&settings, registry, request);
    let report = watch::watched(begin, listen.as_deref(), interval, output).await.map_err(failed)?;
    output.result(&report, |report| text(report, settings.database(), &args.readers, &command));
    Ok(0)
}

/// What was typed. To go on afterwards nothing begins anew.
fn typed(args: &RebuildArgs, fresh: bool) -> Command {
    let mut verb = vec!["rebuild".to_owned()];
    verb.extend(args.projections.iter().cloned());
    verb.extend(fresh.then(|| "--fresh".to_owned()));
    verb.extend(args.postpone.then(|| "--postpone".to_owned()));
    verb.extend(args.readers.typed());
    verb.extend(args.checks.verify.iter().map(|what| format!("--verify {what}")));
    Command::new(verb.join(" "), &args.connection).flag("--max-errors", args.checks.max_errors.as_deref())
}

fn text(report: &RebuildReport, database: &str, readers: &ReadersArgs, command: &Command) -> String {
    if report.projections.is_empty() {
        return no_event_store(database, &report.databases_with_events);
    }
    let mut text = built_text(report, command);
    if report.postponed {
        let names = report.projections.iter().map(|one| one.projection.clone());
        let verb: Vec<String> =
            std::iter::once("cutover".to_owned()).chain(names).chain(readers.typed()).collect();
        let verb = format!("{} --yes", verb.join(" "));
        text.push_str(&format!("\nReaders still have what they had. To go on: {}", command.with(&verb)));
    }
    text
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RebuildArgs {
    /// Projections, by name without case [default: all]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Begin anew instead of resuming an unfinished build
    #[arg(long)]
    pub(in crate::cli) fresh: bool,
    /// Begin although disk or oplog may not suffice, as `plan` shows
    #[arg(long, env = "STATEFOLD_IGNORE_MARGIN")]
    pub(in crate::cli) ignore_margin: bool,
    /// Stop when everything is built and verified; `statefold cutover` goes on
    #[arg(long)]
    pub(in crate::cli) postpone: bool,
    #[command(flatten)]
    pub(in crate::cli) readers: ReadersArgs,
    #[command(flatten)]
    pub(in crate::cli) checks: ChecksArgs,
    /// Serve /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(in crate::cli) listen: Option<String>,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) interval: u64,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) politeness: ThrottleArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
