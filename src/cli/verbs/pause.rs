//! `statefold pause` and `statefold resume`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::operator::{PausedBuild, pause, resume};

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Why, for whoever asks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

impl PauseArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Pause, &self.connection)
    }
}

impl ResumeArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Resume, &self.connection)
    }
}

pub(in crate::cli) async fn pause_now(
    args: &PauseArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    let builds = pause(&settings, registry, &args.projections, args.reason.as_deref()).await?;
    output.result(&builds, |builds| paused_text(builds));
    if !builds.is_empty() {
        output.note(&format!("To resume: {}", command.other("resume")));
    }
    Ok(0)
}

pub(in crate::cli) async fn resume_now(
    args: &ResumeArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    let builds = resume(&settings, registry, &args.projections).await?;
    output.result(&builds, |builds| resumed_text(builds));
    Ok(0)
}

fn paused_text(builds: &[PausedBuild]) -> String {
    if builds.is_empty() {
        return "Nothing to pause: there is no unfinished build.".into();
    }
    let line = |build: &PausedBuild| {
        let paused = build.paused.as_deref().unwrap_or("paused");
        let at_work = build.at_work.as_ref().map_or_else(
            || "; nobody works on it now, and whoever does next waits".to_owned(),
            |who| format!("; {who} stops within some seconds and waits"),
        );
        format!("{} ({}) is {paused}{at_work}", build.build, build.state)
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn resumed_text(builds: &[PausedBuild]) -> String {
    if builds.is_empty() {
        return "Nothing to resume: no build is paused.".into();
    }
    let line = |build: &PausedBuild| {
        let resumes = match &build.at_work {
            Some(who) => format!("{who} resumes"),
            None => "the next rebuild resumes it".to_owned(),
        };
        format!(
            "{} ({}) was {}; {resumes}",
            build.build,
            build.state,
            build.paused.as_deref().unwrap_or("paused")
        )
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}
