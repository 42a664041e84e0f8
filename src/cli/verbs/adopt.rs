//! `statefold adopt`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs, IntervalArgs, LeaseArgs, TuningArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::consent::announced;
use crate::cli::exit::EXIT_MISMATCH;
use crate::cli::screen::output::Output;
use crate::cli::screen::watch;
use crate::cli::settings::{Raw, load};
use crate::cli::text::differences::verdict;
use crate::error::Result;
use crate::operator::{Adopt, AdoptReport, adopt};

impl AdoptArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Adopt, &self.connection)
            .arguments([self.projection.clone()])
            .arguments(self.collections.iter().map(|name| format!("--collection {name}")))
            .arguments(self.generation.map(|number| format!("--generation {number}")))
    }
}

pub(in crate::cli) async fn run(
    args: &AdoptArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw { tuning: Some(&args.tuning), lease: Some(&args.lease), ..Raw::default() };
    let settings = load(&args.connection, &raw)?.settings;
    let request = Adopt {
        projection: args.projection.clone(),
        collections: args.collections.clone(),
        generation: args.generation,
        force: args.force,
        dry_run: !args.consent.yes,
    };
    let begin = || adopt(&settings, registry, request);
    let interval = args.interval.interval();
    let report = watch::watched(begin, None, interval, output).await?;
    output.result(&report, |report| text(report, &args.projection));
    let equal = report.verified.as_ref().is_none_or(|verified| !verified.differs());
    if !equal && !report.adopted {
        output.note(&format!(
            "Nothing was recorded. Statefold would go back to what the events give, not to what is stored. \
             To record it all the same: {}",
            command.again_with("--force")
        ));
        return Ok(EXIT_MISMATCH);
    }
    if !report.adopted {
        announced(command, &settings, registry, output).await?;
    }
    Ok(0)
}

fn text(report: &AdoptReport, projection: &str) -> String {
    let verdict = report.verified.as_ref().map(verdict).unwrap_or_default();
    let (number, done) = (report.generation, if report.adopted { "is" } else { "would be" });
    format!("{verdict}\n{projection}: it {done} generation {number}, and active")
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AdoptArgs {
    /// The projection whose snapshots they are, by name without case
    pub(in crate::cli) projection: String,
    /// The collection that the application reads; once for each target of the projection, in order
    #[arg(long = "collection", value_name = "NAME", required = true)]
    pub(in crate::cli) collections: Vec<String>,
    /// Number of the generation [default: the number at the end of the collection's name, else 1]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) generation: Option<u32>,
    /// Record it although some snapshots differ from the event store
    #[arg(long)]
    pub(in crate::cli) force: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    pub(in crate::cli) interval: IntervalArgs,
    #[command(flatten)]
    pub(in crate::cli) lease: LeaseArgs,
    #[command(flatten)]
    pub(in crate::cli) tuning: TuningArgs,
}
