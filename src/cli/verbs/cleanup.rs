//! `statefold cleanup`

use bytesize::ByteSize;
use clap::Args;
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs, KeepArgs, LeaseArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::consent::announced;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, or_dash, table};
use crate::cli::settings::{Raw, load};
use crate::engine::sweep::{CleanupItem, CleanupKind, CleanupReport};
use crate::error::Result;
use crate::operator::{Cleanup, Purge, cleanup, purge};
use crate::store::DropOutcome;

#[derive(Debug, Args)]
pub(in crate::cli) struct CleanupArgs {
    /// Projections, by name without case [default: all]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    lease: LeaseArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Drop this collection of a projection too although statefold didn't build it; may be repeated
    #[arg(long, value_name = "NAME")]
    collection: Vec<String>,
    /// Remove everything of statefold, also the ACTIVE generations, and leave the database as it was found
    #[arg(long, conflicts_with_all = ["projections", "keep", "keep_for", "collection"])]
    purge: bool,
    /// Purge also while a fence stands or servers run
    #[arg(long, requires = "purge")]
    force: bool,
}

impl CleanupArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Cleanup, &self.connection)
            .arguments(self.projections.iter().cloned())
            .arguments(self.keep.typed())
            .arguments(self.collection.iter().map(|name| format!("--collection {name}")))
            .arguments(self.purge.then(|| "--purge".to_owned()))
            .arguments(self.force.then(|| "--force".to_owned()))
    }
}

pub(in crate::cli) async fn run(
    args: &CleanupArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let dry_run = !args.consent.yes;
    let raw = Raw { keep: Some(&args.keep), lease: Some(&args.lease), ..Raw::default() };
    let settings = load(&args.connection, &raw)?.settings;
    let report = if args.purge {
        purge(&settings, registry, Purge { force: args.force, dry_run }).await
    } else {
        let request =
            Cleanup { projections: args.projections.clone(), collections: args.collection.clone(), dry_run };
        cleanup(&settings, registry, request).await
    };
    let report = report?;
    output.result(&report, |report| text(report, dry_run));
    if dry_run && report.items.iter().any(|item| item.eligible) {
        if args.purge && report.items.iter().any(is_active) {
            output.note("This would drop ACTIVE generations: whoever reads them finds nothing any more.");
        }
        announced(command, &settings, registry, output).await?;
    }
    Ok(0)
}

fn is_active(item: &CleanupItem) -> bool {
    item.eligible && item.active
}

fn text(report: &CleanupReport, dry_run: bool) -> String {
    let mut text = if report.items.is_empty() {
        "Nothing to do: there is nothing that clean-up knows of.".to_owned()
    } else {
        let header =
            ["what", "kind", "documents", "size", if dry_run { "goes" } else { "outcome" }, "reason"];
        table(header, report.items.iter().map(|item| row(item, dry_run)))
    };
    if report.items.iter().any(|item| item.eligible) {
        text.push_str(&if !dry_run {
            format!("\n{} given back", ByteSize(report.dropped_bytes()))
        } else {
            format!("\n{} would be given back", ByteSize(report.eligible_bytes()))
        });
    } else if !report.items.is_empty() {
        text.push_str("\nNothing to do: all of it has to stay.");
    }
    for reason in &report.refusals {
        text.push_str(&format!("\nrefused unless --force: {reason}"));
    }
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}

fn row(item: &CleanupItem, dry_run: bool) -> [String; 6] {
    let kind = match item.kind {
        CleanupKind::Generation => "generation",
        CleanupKind::Staging => "staging",
        CleanupKind::Records => "records",
        CleanupKind::Foreign => "not ours",
        CleanupKind::View => "view",
        CleanupKind::Control => "control document",
    };
    let outcome = match item.outcome {
        Some(DropOutcome::AnotherCollection) => "skipped: another collection has the name now".to_owned(),
        Some(outcome) => outcome.name().to_owned(),
        None if !dry_run || !item.eligible => "stays".to_owned(),
        None => "yes".to_owned(),
    };
    let mut reason = item.reason.clone();
    if let Some(name) = &item.unless_named {
        reason.push_str(&format!(" (--collection {name})"));
    }
    [
        item.name().to_owned(),
        kind.to_owned(),
        or_dash(item.documents.map(number)),
        or_dash(item.bytes.map(ByteSize)),
        outcome,
        reason,
    ]
}
