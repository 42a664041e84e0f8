//! `statefold work`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{
    Connection, IntervalArgs, LeaseArgs, ListenArgs, NeverAsksArgs, ThrottleArgs, TuningArgs,
};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::metrics::Served;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{count, number};
use crate::cli::screen::watch;
use crate::cli::settings::{Loaded, Raw, load, time};
use crate::error::{Error, Result};
use crate::operator::{Linger, Work, WorkReport, work};

#[derive(Debug, Args)]
pub(in crate::cli) struct WorkArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    never_asks: NeverAsksArgs,
    /// Stay while there is nothing to do: for a time, as `10m`, or without one until it is stopped
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "", env = "STATEFOLD_LINGER")]
    pub(in crate::cli) linger: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) listen: ListenArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) throttle: ThrottleArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}

impl WorkArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let linger = self.linger.as_ref().map(|time| match time.as_str() {
            "" => "--linger".to_owned(),
            time => format!("--linger {time}"),
        });
        Command::new(VerbName::Work, &self.connection).arguments(linger)
    }
}

pub(in crate::cli) async fn run(
    args: &WorkArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        throttle: Some(&args.throttle),
        listen: Some(&args.listen),
        ..Raw::default()
    };
    let Loaded { settings, listen } = load(&args.connection, &raw)?;
    let linger = match args.linger.as_deref() {
        None => Linger::No,
        Some("") => Linger::Always,
        Some(text) => Linger::For(duration(text)?),
    };
    let token = args.listen.page.token();
    let served = listen.map(|address| Served::new(address, token, &settings, registry, command));
    let begin = || work(&settings, registry, Work { linger });
    let report = watch::watched(begin, served, args.interval.interval(), output).await?;
    output.result(&report, |report| text(report, command));
    Ok(0)
}

fn duration(text: &str) -> Result<Duration> {
    time(text).map_err(|problem| Error::Config(vec![format!("--linger: {problem}")]))
}

fn text(report: &WorkReport, command: &Command) -> String {
    let refused = report.refused.iter().map(|refusal| format!("\nNot worked on: {refusal}"));
    let refused: String = refused.collect();
    if report.builds.is_empty() {
        return format!(
            "There is no build that is open to workers: `statefold rebuild --workers N` and `statefold \
             migrate --workers N` open one. To wait for it: {}{refused}",
            command.other("work --linger 10m")
        );
    }
    format!(
        "{} finished, with {} commits, for {}.{refused}",
        count(report.partitions, "partition", "partitions"),
        number(report.commits),
        report.builds.join(", ")
    )
}
