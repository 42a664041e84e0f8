//! `statefold follow`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, IntervalArgs, LeaseArgs, ListenArgs, NeverAsksArgs, TuningArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::metrics::Served;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, table};
use crate::cli::screen::watch;
use crate::cli::settings::{Loaded, Raw, load, time};
use crate::error::{Error, Result};
use crate::operator::{Follow, FollowReport, follow};

#[derive(Debug, Args)]
#[command(mut_arg("interval", |interval| interval.default_value("60")))]
pub(in crate::cli) struct FollowArgs {
    /// Projections, by name without case [default: all]
    pub(in crate::cli) projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    never_asks: NeverAsksArgs,
    /// Keep the generation that was active before current as well, so that rolling back takes no time
    #[arg(long)]
    pub(in crate::cli) keep_warm: bool,
    /// How often to compare everything on a standalone server, which shows no changes [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) compare_every: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) listen: ListenArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}

impl FollowArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Follow, &self.connection).arguments(self.projections.iter().cloned())
    }
}

pub(in crate::cli) async fn run(
    args: &FollowArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        listen: Some(&args.listen),
        ..Raw::default()
    };
    let Loaded { settings, listen } = load(&args.connection, &raw)?;
    let token = args.listen.page.token();
    let served = listen.map(|address| Served::new(address, token, &settings, registry, command));
    let mut request =
        Follow { projections: args.projections.clone(), keep_warm: args.keep_warm, ..Follow::default() };
    if let Some(text) = &args.compare_every {
        let problem = |problem| Error::Config(vec![format!("--compare-every: {problem}")]);
        request.compare_every = time(text).map_err(problem)?;
    }
    let interval = args.interval.interval();
    let begin = || follow(&settings, registry, request);
    let report = watch::watched(begin, served, interval, output).await?;
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
        .map(|kept| [kept.projection.clone(), kept.generation.to_string(), number(kept.streams_refolded)]);
    let table = table(["projection", "generation", "streams refolded"], rows);
    format!("{table}\nThe next `follow` resumes here.")
}
