//! `statefold abort`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs, LeaseArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::consent::announced;
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::operator::{Aborted, abort};

#[derive(Debug, Args)]
pub(in crate::cli) struct AbortArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    lease: LeaseArgs,
}

impl AbortArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Abort, &self.connection).arguments(self.projections.iter().cloned())
    }
}

pub(in crate::cli) async fn run(
    args: &AbortArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw { lease: Some(&args.lease), ..Raw::default() })?.settings;
    let dry_run = !args.consent.yes;
    let builds = abort(&settings, registry, &args.projections, dry_run).await?;
    output.result(&builds, |builds| text(builds, dry_run));
    if dry_run && !builds.is_empty() {
        announced(command, &settings, registry, output).await?;
    }
    Ok(0)
}

fn text(builds: &[Aborted], dry_run: bool) -> String {
    if builds.is_empty() {
        return "Nothing to do: there is no unfinished build.".into();
    }
    let done = if dry_run { "would be ended" } else { "ended" };
    let line = |build: &Aborted| {
        let staging = if build.staging.is_empty() { "nothing".into() } else { build.staging.join(", ") };
        format!("{} ({}) {done}; dropped: {staging}", build.build, build.state)
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}
