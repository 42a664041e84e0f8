//! `statefold pause` and `statefold resume`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs};
use crate::cli::command::{Command, VerbName, quoted};
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::next_step::NextStep;
use crate::operator::{PausedBuild, pause, resume, unfinished_builds};

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
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
    #[command(flatten)]
    consent: ConsentArgs,
}

impl PauseArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Pause, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.reason.iter().map(|reason| format!("--reason {}", quoted(reason))))
    }
}

impl ResumeArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Resume, &self.connection).arguments(self.projections.iter().cloned())
    }
}

pub(in crate::cli) async fn pause_now(
    args: &PauseArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    if !args.consent.yes {
        let builds = unfinished_builds(&settings, registry, &args.projections).await?;
        let due = builds.into_iter().filter(|build| build.paused.is_none()).collect();
        return Ok(would_be(
            due,
            "paused",
            "Nothing to pause: no build is unfinished that isn't paused.",
            command,
            output,
        ));
    }
    let builds = pause(&settings, registry, &args.projections, args.reason.as_deref()).await?;
    output.result(&builds, |builds| paused_text(builds));
    if !builds.is_empty() {
        output.note(&format!("To resume: {}", command.next(&NextStep::Resume(None))));
    }
    Ok(0)
}

/// Says which builds a verb would change.
fn would_be(due: Vec<PausedBuild>, done: &str, nothing: &str, command: &Command, output: &Output) -> u8 {
    let line = |build: &PausedBuild| {
        let paused = build.paused.as_ref().map_or_else(String::new, |paused| format!(", {paused},"));
        format!("{} ({}{paused}) would be {done}", build.build, build.state)
    };
    output.result(&due, |due| match due.is_empty() {
        true => nothing.to_owned(),
        false => due.iter().map(line).collect::<Vec<_>>().join("\n"),
    });
    if !due.is_empty() {
        output.nothing_changed(command);
    }
    0
}

pub(in crate::cli) async fn resume_now(
    args: &ResumeArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    if !args.consent.yes {
        let builds = unfinished_builds(&settings, registry, &args.projections).await?;
        let due = builds.into_iter().filter(|build| build.paused.is_some()).collect();
        return Ok(would_be(due, "resumed", "Nothing to resume: no build is paused.", command, output));
    }
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
