//! `statefold fixture`

use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Connection, ConsentArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, seconds};
use crate::cli::screen::{progress, signals};
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::fixture::{Kinds, Share, Shares};
use crate::observe::Progress;
use crate::store::{FixtureRequest, write_fixture};

#[derive(Debug, Args)]
pub(in crate::cli) struct FixtureArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    /// Commits to write
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    commits: u64,
    /// Streams to open [default: one for every five commits]
    #[arg(long, value_name = "N")]
    streams: Option<u64>,
    /// Where ids, names and chances come from: the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// What it is of: `all`, or a list of apps, teams, schemas, rules, assets, folders, contents
    ///
    /// Without it: assets and folders, among plain contents with their apps and schemas. With it: nothing
    /// but these kinds. Contents bring apps and schemas along; they have fields of all types, in several
    /// languages, with drafts, components and references.
    #[arg(long, value_name = "KINDS")]
    kinds: Option<Kinds>,
    /// Share of the streams of assets and contents that are deleted for good [default: 1]
    #[arg(long, value_name = "PERCENT")]
    deleted: Option<Share>,
    /// Share of events of old types; they come first [default: 10]
    ///
    /// Where fewer events have an old form, all that have one are of it.
    #[arg(long, value_name = "PERCENT")]
    legacy: Option<Share>,
    /// Share of commits with several events [default: 4]
    #[arg(long, value_name = "PERCENT")]
    multi: Option<Share>,
    /// Add to a fixture that is there already: of the same kinds and shares, from the same seed
    #[arg(long, conflicts_with_all = ["seed", "kinds", "deleted", "legacy", "multi"])]
    append: bool,
}

impl FixtureArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let flag = |name: &str, value: Option<String>| value.map(|value| format!("--{name} {value}"));
        let flags = [
            flag("commits", Some(self.commits.to_string())),
            flag("streams", self.streams.map(|streams| streams.to_string())),
            self.append.then(|| "--append".to_owned()),
        ];
        Command::new(VerbName::Fixture, &self.connection).arguments(flags.into_iter().flatten())
    }

    fn request(&self) -> FixtureRequest {
        let usual = Shares::default();
        FixtureRequest {
            commits: self.commits,
            streams: self.streams,
            seed: self.seed,
            append: self.append,
            kinds: self.kinds.unwrap_or_default(),
            shares: Shares {
                deleted: self.deleted.unwrap_or(usual.deleted),
                legacy: self.legacy.unwrap_or(usual.legacy),
                multi: self.multi.unwrap_or(usual.multi),
            },
        }
    }
}

pub(in crate::cli) async fn run(args: &FixtureArgs, command: &Command, output: &Output) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    // An empty database loses nothing: only what is there already is asked about.
    if args.consent.dry_run || args.append && !args.consent.yes {
        let (database, commits) = (settings.database(), args.commits);
        let json = json!({ "database": database, "would_write": commits, "append": args.append });
        output.result(&json, |_| format!("{} commits would be written into {database}", number(commits)));
        output.note(&format!("Nothing was changed. To do it: {} --yes", command.again()));
        return Ok(0);
    }
    let cancel = CancellationToken::new();
    signals::cancel_on_signal(cancel.clone(), watch::channel(Progress::default()).1);
    let (written, counter) = watch::channel(0);
    let shown = progress::show_count(counter, args.commits, "commits");
    let began = Instant::now();
    let result = write_fixture(&settings, args.request(), written, cancel).await;
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
