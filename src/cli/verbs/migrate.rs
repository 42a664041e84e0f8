//! `statefold migrate`

use clap::Args;
use statefold_projections::Registry;

use crate::application::{Migrate, Outcome, migrate};
use crate::cli::args::{
    ChecksArgs, Connection, IntervalArgs, LeaseArgs, ListenArgs, NeverAsksArgs, SharingArgs, ThrottleArgs,
    TuningArgs,
};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::metrics::Served;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Loaded, Raw, load};
use crate::cli::text::generations::built_text;
use crate::error::Result;

impl MigrateArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Migrate, &self.connection)
            .changeable("--max-errors", self.checks.max_errors.as_deref())
    }
}

pub(in crate::cli) async fn run(
    args: &MigrateArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        throttle: Some(&args.throttle),
        sharing: Some(&args.sharing),
        help_build: args.help_build,
        attempts: args.attempts,
        checks: Some(&args.checks),
        listen: Some(&args.listen),
        ..Raw::default()
    };
    let Loaded { settings, listen } = load(&args.connection, &raw)?;
    let token = args.listen.page.token();
    let served = listen.map(|address| Served::new(address, token, &settings, registry, command));
    let interval = args.interval.interval();
    let begin = || migrate(&settings, registry, Migrate::default());
    let outcome = watch::watched(begin, served, interval, output).await?;
    output.result(&outcome, |outcome| text(outcome, command));
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
    #[command(flatten)]
    never_asks: NeverAsksArgs,
    /// How often this process tries to migrate before it gives up [default: 3]
    #[arg(long, value_name = "N", env = "STATEFOLD_ATTEMPTS")]
    pub(in crate::cli) attempts: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) throttle: ThrottleArgs,
    #[command(flatten)]
    pub(in crate::cli) sharing: SharingArgs,
    /// Whether to take part in the build while another server leads [default: true]
    #[arg(long, value_name = "true|false", env = "STATEFOLD_HELP_BUILD", help_heading = "Workers")]
    pub(in crate::cli) help_build: Option<bool>,
    #[command(flatten)]
    pub(in crate::cli) checks: ChecksArgs,
    #[command(flatten)]
    pub(in crate::cli) listen: ListenArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
