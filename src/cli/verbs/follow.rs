//! `statefold follow`

use std::time::Duration;

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, LeaseArgs, TuningArgs};
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, table};
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, settings, time};
use crate::error::Error;
use crate::operator::{Follow, FollowReport, follow};

#[derive(Debug, Args)]
pub(in crate::cli) struct FollowArgs {
    /// Projections, by name without case [default: all]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Keep the generation that was active before current as well, so that rolling back takes no time
    #[arg(long)]
    pub(in crate::cli) keep_warm: bool,
    /// How often to compare everything on a standalone server, which shows no changes [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) compare_every: Option<String>,
    /// Serve /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(in crate::cli) listen: Option<String>,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) interval: u64,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}

pub(in crate::cli) async fn run(
    args: &FollowArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    let mut verb = vec!["follow".to_owned()];
    verb.extend(args.projections.iter().cloned());
    let command = Command::new(verb.join(" "), &args.connection);
    let failed = |error| Failed::new(error, &command);
    let raw = Raw { tuning: Some(&args.tuning), lease: Some(&args.lease), ..Raw::default() };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    let mut request =
        Follow { projections: args.projections.clone(), keep_warm: args.keep_warm, ..Follow::default() };
    if let Some(text) = &args.compare_every {
        let problem = |problem| failed(Error::Config(vec![format!("--compare-every: {problem}")]));
        request.compare_every = time(text).map_err(problem)?;
    }
    let listen = args.listen.clone().or(listen);
    let interval = Duration::from_secs(args.interval);
    let begin = || follow(&settings, registry, request);
    let report = watch::watched(begin, listen.as_deref(), interval, output).await.map_err(failed)?;
    output.result(&report, text);
    Ok(0)
}

fn text(report: &FollowReport) -> String {
    if report.followed.is_empty() {
        return "Nothing was followed.".into();
    }
    let rows = report
        .followed
        .iter()
        .map(|one| [one.projection.clone(), one.generation.to_string(), number(one.streams_refolded)]);
    let table = table(["projection", "generation", "streams folded anew"], rows);
    format!("{table}\nThe next one goes on from here.")
}
