//! `statefold cutover` and `statefold rollback`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{ChecksArgs, Connection, IntervalArgs, LeaseArgs, ReadersArgs, TuningArgs};
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
use crate::lifecycle::CutOverMode;
use crate::operator::{StatusReport, cutover, rollback, status};

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
    if !args.connection.yes {
        let report = status(&settings, registry).await?;
        let selected = registry.select(&args.projections)?;
        let names: Vec<&str> = selected.iter().map(|projection| projection.spec().name()).collect();
        let (steps, can) = intention(way, &report, &names, args.readers.mode);
        output.text(&steps);
        if can {
            output.note(&format!("Nothing was changed. To do it: {}", command.again()));
        }
        return Ok(0);
    }
    let request = Rebuild {
        projections: args.projections.clone(),
        mode: args.readers.mode,
        force: args.readers.force,
        ..Rebuild::default()
    };
    let begin = || begin(way, &settings, registry, request);
    let interval = args.interval.interval();
    let report = watch::watched(begin, None, interval, output).await?;
    let nothing = "Nothing to do: there is no event store, or what was complete is active already.";
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

/// Says what would be done, and whether there is anything to do.
fn intention(way: Way, report: &StatusReport, names: &[&str], mode: Option<CutOverMode>) -> (String, bool) {
    let mut can = false;
    let step = |name: &&str| {
        let status = report.projections.iter().find(|status| status.projection == **name)?;
        let from =
            status.active_generation.map_or_else(String::new, |number| format!(" from generation {number}"));
        let mode = mode.or(status.mode).unwrap_or_default();
        let there = match (way, &status.building, status.previous_generations.first()) {
            (Way::Forward, Some(build), _) if build.can_cut_over => {
                format!("{from} to {}, which is caught up and verified again", build.build)
            }
            (Way::Forward, Some(build), _) => {
                return Some(format!("{name}: {} is {}, not complete", build.build, build.state));
            }
            (Way::Back, _, Some(number)) => {
                format!("{from} back to generation {number}, which is caught up and verified")
            }
            (Way::Forward, None, _) => return Some(format!("{name}: nothing is built to cut over to")),
            (Way::Back, _, None) => return Some(format!("{name}: no generation to go back to")),
        };
        can = true;
        Some(format!("{name}: readers would go{there} (mode {mode})"))
    };
    let steps = names.iter().filter_map(step).collect::<Vec<_>>().join("\n");
    (steps, can)
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CutoverArgs {
    /// Projections, by name without case [default: all that have something to go to]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
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
