//! `statefold cutover` and `statefold rollback`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{
    ChecksArgs, Connection, ConsentArgs, IntervalArgs, LeaseArgs, ReadersArgs, TuningArgs,
};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, load};
use crate::cli::text::event_store::no_event_store;
use crate::cli::text::generations::built_text;
use crate::config::Settings;
use crate::engine::run::Rebuild;
use crate::engine::running::Running;
use crate::error::Result;
use crate::operator::{Destination, cutover, cutover_destinations, rollback, rollback_destinations};

/// The direction in which readers are moved.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Way {
    Forward,
    Back,
}

impl CutoverArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self, way: Way) -> Command {
        let verb = match way {
            Way::Forward => VerbName::Cutover,
            Way::Back => VerbName::Rollback,
        };
        Command::new(verb, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.readers.typed())
            .arguments(self.checks.typed())
            .changeable("--max-errors", self.checks.max_errors.as_deref())
    }
}

pub(in crate::cli) async fn run(
    way: Way,
    args: &CutoverArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        checks: Some(&args.checks),
        ..Raw::default()
    };
    let settings = load(&args.connection, &raw)?.settings;
    let request = Rebuild {
        projections: args.projections.clone(),
        mode: args.readers.mode,
        force: args.readers.force,
        ..Rebuild::default()
    };
    let nothing = "Nothing to do: there is no event store, or what was complete is active already.";
    if !args.consent.yes {
        let destinations = match way {
            Way::Forward => cutover_destinations(&settings, registry, &request).await?,
            Way::Back => rollback_destinations(&settings, registry, &request).await?,
        };
        output.result(&destinations, |destinations| match destinations.is_empty() {
            true => nothing.to_owned(),
            false => destinations.iter().map(|to| intention(way, to)).collect::<Vec<_>>().join("\n"),
        });
        if !destinations.is_empty() {
            output.nothing_changed(command);
        }
        return Ok(0);
    }
    let begin = || begin(way, &settings, registry, request);
    let interval = args.interval.interval();
    let report = watch::watched(begin, None, interval, output).await?;
    output.result(&report, |report| {
        match (report.projections.is_empty(), report.databases_with_events.is_empty()) {
            (false, _) => built_text(report, command),
            (true, true) => nothing.to_owned(),
            (true, false) => no_event_store(settings.database(), &report.databases_with_events),
        }
    });
    Ok(0)
}

fn begin(way: Way, settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    match way {
        Way::Forward => cutover(settings, registry, request),
        Way::Back => rollback(settings, registry, request),
    }
}

/// Says where the readers of a projection would be led.
fn intention(way: Way, to: &Destination) -> String {
    let Destination { projection, generation, mode, .. } = to;
    let from = to.from.map_or_else(String::new, |number| format!(" from generation {number}"));
    let back = match way {
        Way::Forward => "",
        Way::Back => " back",
    };
    format!(
        "{projection}: readers would go{from}{back} to generation {generation}, which is caught up and \
         verified again (mode {mode})"
    )
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CutoverArgs {
    /// Projections, by name without case [default: all that have something to go to]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    pub(in crate::cli) readers: ReadersArgs,
    #[command(flatten)]
    pub(in crate::cli) checks: ChecksArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
