//! `statefold migrate`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::application::{Migrate, Outcome, migrate};
use crate::cli::args::{ChecksArgs, Connection, LeaseArgs, ThrottleArgs, TuningArgs};
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, settings};
use crate::cli::text::generations::built_text;

pub(in crate::cli) async fn run(
    args: &MigrateArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
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

#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// How often this process tries to migrate before it gives up [default: 3]
    #[arg(long, value_name = "N", env = "STATEFOLD_ATTEMPTS")]
    pub(in crate::cli) attempts: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) politeness: ThrottleArgs,
    #[command(flatten)]
    pub(in crate::cli) checks: ChecksArgs,
    /// Serve /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(in crate::cli) listen: Option<String>,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) interval: u64,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
