//! `statefold fixture`

use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::args::Connection;
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, seconds};
use crate::cli::screen::{progress, signals};
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::observe::Progress;
use crate::store::{FixtureRequest, write_fixture};

#[derive(Debug, Args)]
pub(in crate::cli) struct FixtureArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Commits to write
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    commits: u64,
    /// Streams to open [default: one for every five commits]
    #[arg(long, value_name = "N")]
    streams: Option<u64>,
    /// Where ids, names and chances come from: the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Add to a fixture that is there already
    #[arg(long, conflicts_with = "seed")]
    append: bool,
}

impl FixtureArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Fixture, &self.connection)
    }
}

pub(in crate::cli) async fn run(args: &FixtureArgs, output: &Output) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    let request =
        FixtureRequest { commits: args.commits, streams: args.streams, seed: args.seed, append: args.append };
    let cancel = CancellationToken::new();
    signals::cancel_on_signal(cancel.clone(), watch::channel(Progress::default()).1);
    let (written, counter) = watch::channel(0);
    let shown = progress::show_count(counter, args.commits, "commits");
    let began = Instant::now();
    let result = write_fixture(&settings, request, written, cancel).await;
    drop(shown);
    let report = result?;
    let took = began.elapsed().as_secs_f64();
    let json = json!({
        "database": settings.database(), "commits": report.commits, "commits_total": report.commits_total,
        "seed": report.seed, "seconds": took,
    });
    output.result(&json, |_| {
        format!(
            "{} has {} commits now, {} of them written in {} (seed {})",
            settings.database(),
            number(report.commits_total),
            number(report.commits),
            seconds(took),
            report.seed
        )
    });
    Ok(0)
}
