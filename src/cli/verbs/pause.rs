//! `statefold pause` and `statefold resume`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, settings};
use crate::operator::{PausedBuild, pause, resume};

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    connection: Connection,
    /// Why, for whoever asks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(in crate::cli) async fn pause_now(
    args: PauseArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let command = Command::new("pause", &args.connection);
    let failed = |error| Failed::new(error, &command);
    let (settings, _) = settings(&args.connection, &Raw::default()).map_err(failed)?;
    let builds =
        pause(&settings, registry, &args.projections, args.reason.as_deref()).await.map_err(failed)?;
    output.result(&builds, |builds| paused_text(builds));
    if !builds.is_empty() {
        output.note(&format!("To let it go on: {}", command.with("resume")));
    }
    Ok(0)
}

pub(in crate::cli) async fn resume_now(
    args: ResumeArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let command = Command::new("resume", &args.connection);
    let failed = |error| Failed::new(error, &command);
    let (settings, _) = settings(&args.connection, &Raw::default()).map_err(failed)?;
    let builds = resume(&settings, registry, &args.projections).await.map_err(failed)?;
    output.result(&builds, |builds| resumed_text(builds));
    Ok(0)
}

fn paused_text(builds: &[PausedBuild]) -> String {
    if builds.is_empty() {
        return "Nothing to pause: there is no unfinished build.".into();
    }
    let line = |one: &PausedBuild| {
        let paused = one.paused.as_deref().unwrap_or("paused");
        let at_work = one.at_work.as_ref().map_or_else(
            || "; nobody works on it now, and whoever does next waits".to_owned(),
            |who| format!("; {who} stops within some seconds and waits"),
        );
        format!("{} ({}) is {paused}{at_work}", one.build, one.state)
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn resumed_text(builds: &[PausedBuild]) -> String {
    if builds.is_empty() {
        return "Nothing to resume: no build is paused.".into();
    }
    let line = |one: &PausedBuild| {
        let goes_on = match &one.at_work {
            Some(who) => format!("{who} goes on"),
            None => "the next rebuild goes on with it".to_owned(),
        };
        format!("{} ({}) was {}; {goes_on}", one.build, one.state, one.paused.as_deref().unwrap_or("paused"))
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}
