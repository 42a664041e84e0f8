//! `statefold cutover` and `statefold rollback`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{ChecksArgs, Connection, LeaseArgs, ReadersArgs, TuningArgs};
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, settings};
use crate::cli::text::event_store::no_event_store;
use crate::cli::text::generations::built_text;
use crate::config::Settings;
use crate::engine::run::Rebuild;
use crate::engine::running::Running;
use crate::lifecycle::CutOverMode;
use crate::operator::{StatusReport, cutover, rollback, status};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Way {
    Forward,
    Back,
}

pub(in crate::cli) async fn run(
    way: Way,
    args: &CutoverArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let mut verb = vec![if way == Way::Forward { "cutover" } else { "rollback" }.to_owned()];
    verb.extend(args.projections.iter().cloned());
    verb.extend(args.readers.typed());
    verb.extend(args.checks.verify.iter().map(|what| format!("--verify {what}")));
    let command = Command::new(verb.join(" "), &args.connection)
        .flag("--max-errors", args.checks.max_errors.as_deref());
    let failed = |error| Failed::new(error, &command);
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        max_errors: args.checks.max_errors.as_deref(),
        verify: args.checks.verify.as_deref(),
        ..Raw::default()
    };
    let (settings, _) = settings(&args.connection, &raw).map_err(failed)?;
    if !args.connection.yes {
        let report = status(&settings, registry).await.map_err(failed)?;
        let selected = registry.select(&args.projections).map_err(|error| failed(error.into()))?;
        let names: Vec<&str> = selected.iter().map(|one| one.spec().name()).collect();
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
    let interval = Duration::from_secs(args.interval);
    let report = watch::watched(begin, None, interval, output).await.map_err(failed)?;
    let nothing = "Nothing to do: there is no event store, or what was complete is active already.";
    output.result(&report, |report| {
        match (report.projections.is_empty(), report.databases_with_events.is_empty()) {
            (false, _) => built_text(report, &command),
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

/// What would be done, and whether there is anything.
fn intention(way: Way, report: &StatusReport, names: &[&str], mode: Option<CutOverMode>) -> (String, bool) {
    let mut can = false;
    let of = |name: &&str| {
        let one = report.projections.iter().find(|one| one.projection == **name)?;
        let from =
            one.active_generation.map_or_else(String::new, |number| format!(" from generation {number}"));
        let mode = mode.or(one.mode).unwrap_or_default();
        let there = match (way, &one.building, one.previous_generations.first()) {
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
    let steps = names.iter().filter_map(of).collect::<Vec<_>>().join("\n");
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
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) interval: u64,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
