//! `statefold migrate`

use std::time::Duration;

use statefold_projections::Registry;

use crate::application::{Migrate, Outcome, migrate};
use crate::cli::args::MigrateArgs;
use crate::cli::exit::Failed;
use crate::cli::output::Output;
use crate::cli::rebuild::built_text;
use crate::cli::settings::{Command, Raw, settings};
use crate::cli::watch;

pub(super) async fn run(args: &MigrateArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let command =
        Command::new("migrate", &args.connection).flag("--max-errors", args.checks.max_errors.as_deref());
    let failed = |error| Failed::new(error, &command);
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        politeness: Some(&args.politeness),
        attempts: args.attempts,
        max_errors: args.checks.max_errors.as_deref(),
        verify: args.checks.verify.as_deref(),
        ..Raw::default()
    };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    let listen = args.listen.clone().or(listen);
    let interval = Duration::from_secs(args.interval);
    let begin = || migrate(&settings, registry, Migrate::default());
    let outcome = watch::watched(begin, listen.as_deref(), interval, output).await.map_err(failed)?;
    output.result(&outcome, |outcome| text(outcome, &command));
    Ok(0)
}

fn text(outcome: &Outcome, command: &Command) -> String {
    let mut text = outcome.line();
    let led = match outcome {
        Outcome::ReadOnly { after } => after,
        other => other,
    };
    if let Outcome::Led { report, version, .. } = led {
        if let Some(report) = report {
            text.push_str(&format!("\n{}", built_text(report, command)));
        }
        if let Some(version) = version {
            text.push_str(&format!("\nThe application's version is {version} now."));
        }
    }
    text
}
