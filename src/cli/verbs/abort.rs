//! `statefold abort`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, settings};
use crate::operator::{Aborted, abort};

#[derive(Debug, Args)]
pub(in crate::cli) struct AbortArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(in crate::cli) async fn run(args: AbortArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let mut verb = vec!["abort".to_owned()];
    verb.extend(args.projections.iter().cloned());
    let verb = verb.join(" ");
    let command = Command::new(&verb, &args.connection);
    let failed = |error| Failed::new(error, &command);
    let (settings, _) = settings(&args.connection, &Raw::default()).map_err(failed)?;
    let dry_run = !args.connection.yes;
    let builds = abort(&settings, registry, &args.projections, dry_run).await.map_err(failed)?;
    output.result(&builds, |builds| text(builds, dry_run));
    if dry_run && !builds.is_empty() {
        output.note(&format!("Nothing was changed. To do it: {}", command.with(&format!("{verb} --yes"))));
    }
    Ok(0)
}

fn text(builds: &[Aborted], dry_run: bool) -> String {
    if builds.is_empty() {
        return "Nothing to do: there is no unfinished build.".into();
    }
    let done = if dry_run { "would be ended" } else { "ended" };
    let line = |one: &Aborted| {
        let staging = if one.staging.is_empty() { "nothing".into() } else { one.staging.join(", ") };
        format!("{} ({}) {done}; dropped: {staging}", one.build, one.state)
    };
    builds.iter().map(line).collect::<Vec<_>>().join("\n")
}
