//! `statefold rebuild`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{
    ChecksArgs, Connection, ConsentArgs, IntervalArgs, LeaseArgs, ListenArgs, ReadersArgs, SharingArgs,
    ThrottleArgs, TuningArgs,
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
use crate::error::{Error, Insistence, Result};
use crate::operator::{PlanReport, ProjectionPlan, check_rebuild, rebuild};

impl RebuildArgs {
    /// The command that resumes: without `--fresh`, so that nothing is built twice.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Rebuild, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.postpone.then(|| "--postpone".to_owned()))
            .arguments(self.sharing.typed())
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
        sharing: Some(&args.sharing),
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
        let checked = check_rebuild(&settings, registry, &request).await;
        if output.is_json() && checked.is_err() {
            // One document: the refusal.
            return checked.map(|()| 0);
        }
        let report = plan::show(&settings, registry, &args.projections, command, output).await?;
        checked?;
        if !report.has_event_store {
            return Ok(0);
        }
        refuse_shortage(&report, settings.throttle().ignore_margin, args.fresh)?;
        output.nothing_changed(&command.clone().arguments(args.fresh.then(|| "--fresh".to_owned())));
        return Ok(0);
    }
    let token = args.listen.page.token();
    let served = listen.map(|address| Served::new(address, token, &settings, registry, command));
    let interval = args.interval.interval();
    let begin = || rebuild(&settings, registry, request);
    let report = watch::watched(begin, served, interval, output).await?;
    output.result(&report, |report| text(report, settings.database(), args, command));
    Ok(0)
}

/// Refuses what the run would refuse for lack of room, unless all of it is begun already.
fn refuse_shortage(report: &PlanReport, ignore_margin: bool, fresh: bool) -> Result<()> {
    let resumes = |plan: &ProjectionPlan| {
        !fresh && plan.resumable.as_ref().is_some_and(|resumable| resumable.same_definition)
    };
    let reasons = report.capacity.iter().flat_map(|capacity| capacity.shortages.clone());
    let reasons: Vec<String> = reasons.collect();
    if reasons.is_empty() || ignore_margin || report.projections.iter().all(resumes) {
        return Ok(());
    }
    Err(Error::Refused { reasons, unless: Insistence::IgnoreMargin })
}

fn text(report: &RebuildReport, database: &str, args: &RebuildArgs, command: &Command) -> String {
    if report.projections.is_empty() {
        return no_event_store(database, &report.databases_with_events);
    }
    let mut text = built_text(report, command);
    if report.postponed {
        let names = report.projections.iter().map(|built| built.projection.clone());
        let max_errors = args.checks.max_errors.iter().map(|limit| format!("--max-errors {limit}"));
        let verb: Vec<String> = std::iter::once("cutover".to_owned())
            .chain(names)
            .chain(args.readers.typed())
            .chain(args.checks.typed())
            .chain(max_errors)
            .collect();
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
    pub(in crate::cli) sharing: SharingArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
