//! `statefold rebuild`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{
    ChecksArgs, Connection, ConsentArgs, IntervalArgs, LeaseArgs, ListenArgs, ReadersArgs, ThrottleArgs,
    TuningArgs,
};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::metrics::Served;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Loaded, Raw, load};
use crate::cli::text::event_store::no_event_store;
use crate::cli::text::generations::built_text;
use crate::cli::verbs::plan;
use crate::config::Throttle;
use crate::engine::run::{Rebuild, RebuildReport};
use crate::error::Result;
use crate::operator::{check_rebuild, rebuild};

impl RebuildArgs {
    /// The command that resumes: without `--fresh`, so that nothing is built twice.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Rebuild, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.postpone.then(|| "--postpone".to_owned()))
            .arguments(self.readers.typed())
            .arguments(self.checks.typed())
            .changeable("--max-errors", self.checks.max_errors.as_deref())
    }
}

pub(in crate::cli) async fn run(
    args: &RebuildArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        throttle: Some(&args.throttle),
        checks: Some(&args.checks),
        listen: Some(&args.listen),
        ..Raw::default()
    };
    let Loaded { settings, listen } = load(&args.connection, &raw)?;
    let throttle = Throttle { ignore_margin: args.ignore_margin, ..settings.throttle().clone() };
    let settings = settings.with_throttle(throttle);
    let request = Rebuild {
        projections: args.projections.clone(),
        fresh: args.fresh,
        mode: args.readers.mode,
        postpone: args.postpone,
        force: args.readers.force,
    };
    if !args.consent.yes {
        plan::show(&settings, registry, &args.projections, output).await?;
        check_rebuild(&settings, registry, &request).await?;
        output.nothing_changed(&command.clone().arguments(args.fresh.then(|| "--fresh".to_owned())));
        return Ok(0);
    }
    let served = listen.map(|address| Served {
        address,
        token: args.listen.page.token(),
        settings: settings.clone(),
        registry: registry.clone(),
        say: Box::new(command.says()),
    });
    let interval = args.interval.interval();
    let begin = || rebuild(&settings, registry, request);
    let report = watch::watched(begin, served, interval, output).await?;
    output.result(&report, |report| text(report, settings.database(), &args.readers, command));
    Ok(0)
}

fn text(report: &RebuildReport, database: &str, readers: &ReadersArgs, command: &Command) -> String {
    if report.projections.is_empty() {
        return no_event_store(database, &report.databases_with_events);
    }
    let mut text = built_text(report, command);
    if report.postponed {
        let names = report.projections.iter().map(|built| built.projection.clone());
        let verb: Vec<String> =
            std::iter::once("cutover".to_owned()).chain(names).chain(readers.typed()).collect();
        let verb = format!("{} --yes", verb.join(" "));
        text.push_str(&format!("\nReaders still have what they had. To cut over: {}", command.other(&verb)));
    }
    text
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RebuildArgs {
    /// Projections, by name without case [default: all]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    /// Build from scratch instead of resuming an unfinished build
    #[arg(long)]
    pub(in crate::cli) fresh: bool,
    /// Begin although disk or oplog may not suffice, as `plan` shows
    #[arg(long, env = "STATEFOLD_IGNORE_MARGIN")]
    pub(in crate::cli) ignore_margin: bool,
    /// Stop when everything is built and verified; `statefold cutover` resumes
    #[arg(long)]
    pub(in crate::cli) postpone: bool,
    #[command(flatten)]
    pub(in crate::cli) readers: ReadersArgs,
    #[command(flatten)]
    pub(in crate::cli) checks: ChecksArgs,
    #[command(flatten)]
    pub(in crate::cli) listen: ListenArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) throttle: ThrottleArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
