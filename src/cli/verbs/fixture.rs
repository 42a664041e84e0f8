//! `statefold fixture`

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Connection, ConsentArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, seconds};
use crate::cli::screen::{progress, signals};
use crate::cli::settings::{Raw, load};
use crate::config::Settings;
use crate::engine::run::Rebuild;
use crate::error::Result;
use crate::fixture::{Kinds, Shape, Share, Shares};
use crate::observe::Progress;
use crate::operator::{Purge, purge, rebuild};
use crate::store::{
    FixtureRequest, ShapeRequest, check_fixture, check_shape, rename_snapshots, write_fixture, write_shape,
};

/// Pause between two log lines of a rebuild.
const INTERVAL: Duration = Duration::from_secs(5);

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
    /// An event store of another shape instead, for projections as data: orders, accounts or library
    #[arg(long, value_name = "SHAPE")]
    #[arg(conflicts_with_all = ["streams", "kinds", "deleted", "legacy", "multi", "snapshots", "append"])]
    shape: Option<Shape>,
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
    /// Write the snapshots as well, into Squidex's own collections, as States_Assets2
    ///
    /// As Squidex would have them. Without the flag there are events only; what is appended later isn't in
    /// them.
    #[arg(long)]
    snapshots: bool,
    /// Leave a fixture that is there already as it is, instead of refusing
    #[arg(long)]
    if_missing: bool,
    /// Add to a fixture that is there already: of the same kinds and shares, from the same seed
    #[arg(long, conflicts_with_all = ["seed", "kinds", "deleted", "legacy", "multi"])]
    #[arg(conflicts_with_all = ["snapshots", "if_missing"])]
    append: bool,
}

impl FixtureArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let flag = |name: &str, value: Option<String>| value.map(|value| format!("--{name} {value}"));
        let flags = [
            flag("commits", Some(self.commits.to_string())),
            flag("streams", self.streams.map(|streams| streams.to_string())),
            flag("seed", Some(self.seed).filter(|_| !self.append).map(|seed| seed.to_string())),
            flag("shape", self.shape.map(|shape| shape.to_string())),
            flag("kinds", self.kinds.map(|kinds| kinds.to_string())),
            flag("deleted", self.deleted.map(|share| share.to_string())),
            flag("legacy", self.legacy.map(|share| share.to_string())),
            flag("multi", self.multi.map(|share| share.to_string())),
            self.snapshots.then(|| "--snapshots".to_owned()),
            self.if_missing.then(|| "--if-missing".to_owned()),
            self.append.then(|| "--append".to_owned()),
        ];
        Command::new(VerbName::Fixture, &self.connection).arguments(flags.into_iter().flatten())
    }

    fn shaped(&self) -> Option<ShapeRequest> {
        let Self { commits, seed, if_missing, .. } = *self;
        self.shape.map(|shape| ShapeRequest { shape, commits, seed, if_missing })
    }

    fn request(&self) -> FixtureRequest {
        let usual = Shares::default();
        FixtureRequest {
            commits: self.commits,
            streams: self.streams,
            seed: self.seed,
            append: self.append,
            if_missing: self.if_missing,
            kinds: self.kinds.unwrap_or_default(),
            shares: Shares {
                deleted: self.deleted.unwrap_or(usual.deleted),
                legacy: self.legacy.unwrap_or(usual.legacy),
                multi: self.multi.unwrap_or(usual.multi),
            },
        }
    }
}

pub(in crate::cli) async fn run(
    args: &FixtureArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    // An empty database loses nothing: only what is there already is asked about.
    if args.consent.dry_run || args.append && !args.consent.yes {
        let database = settings.database();
        let commits = match args.shaped() {
            Some(request) => check_shape(&settings, request).await?,
            None => check_fixture(&settings, args.request()).await?,
        };
        let json = json!({ "database": database, "would_write": commits, "append": args.append });
        output.result(&json, |_| format!("{} commits would be written into {database}", number(commits)));
        if commits > 0 {
            output.note(&format!("Nothing was changed. To do it: {} --yes", command.again()));
        }
        return Ok(0);
    }
    let cancel = CancellationToken::new();
    signals::cancel_on_signal(cancel.clone(), watch::channel(Progress::default()).1, output.lift());
    let (written, counter) = watch::channel(0);
    let shown = progress::show_count(counter, args.commits, "commits");
    let began = Instant::now();
    if let Some(request) = args.shaped() {
        let result = write_shape(&settings, request, written, cancel).await;
        drop(shown);
        let commits = result?;
        let (database, took) = (settings.database(), began.elapsed().as_secs_f64());
        let shape = request.shape.to_string();
        let json = json!({ "database": database, "shape": shape, "commits": commits, "seed": request.seed });
        output.result(&json, |_| {
            let collection = request.shape.layout().collection;
            format!("{} commits written into {database}.{collection} in {}", number(commits), seconds(took))
        });
        return Ok(0);
    }
    let result = write_fixture(&settings, args.request(), written, cancel.clone()).await;
    drop(shown);
    let report = result?;
    let snapshots = match args.snapshots && report.commits > 0 {
        true => write_snapshots(&settings, registry, args.request().kinds, cancel).await?,
        false => Vec::new(),
    };
    let took = began.elapsed().as_secs_f64();
    let json = json!({
        "database": settings.database(), "commits": report.commits, "commits_total": report.commits_total,
        "seed": report.seed, "seconds": took, "snapshots": snapshots,
    });
    output.result(&json, |_| {
        let mut text = format!(
            "{} has {} commits now, {} of them written in {} (seed {})",
            settings.database(),
            number(report.commits_total),
            number(report.commits),
            seconds(took),
            report.seed
        );
        for Written { projection, collections, snapshots } in &snapshots {
            let collections = collections.join(", ");
            text.push_str(&format!("\n{projection}: {} snapshots in {collections}", number(*snapshots)));
        }
        text
    });
    Ok(0)
}

/// Snapshots as the application has them.
#[derive(Debug, Serialize)]
struct Written {
    projection: String,
    collections: Vec<String>,
    snapshots: u64,
}

/// Writes the snapshots of a fixture's kinds under the names that the application has for them: one number
/// below the first generation of statefold. The engine folds them as it does for anybody; then its records
/// go, so that it knows nothing of these collections.
async fn write_snapshots(
    settings: &Settings,
    registry: &Registry,
    kinds: Kinds,
    cancel: CancellationToken,
) -> Result<Vec<Written>> {
    let running = rebuild(settings, registry, Rebuild::of(kinds.projections()));
    let (stop, shown) = (running.cancellation(), progress::show(running.progress(), INTERVAL));
    tokio::spawn(async move {
        cancel.cancelled().await;
        stop.cancel();
    });
    let result = running.await;
    drop(shown);
    let (mut names, mut written) = (Vec::new(), Vec::new());
    for built in result?.projections {
        let spec = registry.get(&built.projection)?.spec();
        let theirs = spec.targets().iter().map(|target| target.generation(spec.first().saturating_sub(1)));
        let collections: Vec<String> = theirs.collect();
        names.extend(built.collections.into_iter().zip(collections.iter().cloned()));
        written.push(Written { projection: built.projection, collections, snapshots: built.snapshots });
    }
    rename_snapshots(settings, registry, names).await?;
    purge(settings, registry, Purge { dry_run: false, ..Purge::default() }).await?;
    Ok(written)
}
