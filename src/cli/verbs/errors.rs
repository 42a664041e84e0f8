//! `statefold errors list|show|retry`

use clap::{Args, Subcommand};
use serde_json::json;
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs, LeaseArgs};
use crate::cli::command::{Command, VerbName, quoted};
use crate::cli::consent::announced;
use crate::cli::exit::EXIT_FAILED_STREAMS;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::table;
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::next_step::NextStep;
use crate::operator::{
    FailedStreamDetails, FailedStreamRow, RetryReport, failed_stream, failed_streams, retry_failed_streams,
    streams_to_retry,
};

impl ErrorsArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let verb = match self.verb {
            ErrorsVerb::List { .. } => VerbName::ErrorsList,
            ErrorsVerb::Retry { .. } => VerbName::ErrorsRetry,
            ErrorsVerb::Show { .. } => VerbName::ErrorsShow,
        };
        let arguments = match &self.verb {
            ErrorsVerb::List { projection, .. } => projection.clone().into_iter().collect(),
            ErrorsVerb::Retry { names, .. } => names.clone(),
            ErrorsVerb::Show { stream, .. } => vec![quoted(stream)],
        };
        Command::new(verb, self.connection()).arguments(arguments)
    }

    /// Where the database is.
    pub(in crate::cli) fn connection(&self) -> &Connection {
        match &self.verb {
            ErrorsVerb::List { connection, .. }
            | ErrorsVerb::Retry { connection, .. }
            | ErrorsVerb::Show { connection, .. } => connection,
        }
    }
}

pub(in crate::cli) async fn run(
    args: &ErrorsArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let lease = match &args.verb {
        ErrorsVerb::Retry { lease, .. } => Some(lease),
        _ => None,
    };
    let settings = load(args.connection(), &Raw { lease, ..Raw::default() })?.settings;
    match &args.verb {
        ErrorsVerb::List { projection, limit, .. } => {
            let failed_streams = failed_streams(&settings, registry, projection.as_deref(), *limit).await?;
            let rows: Vec<FailedStreamRow> = failed_streams.iter().map(FailedStreamRow::from).collect();
            output.result(&rows, |rows| list(rows, command));
        }
        ErrorsVerb::Retry { names, consent, .. } if !consent.yes => {
            let rows = streams_to_retry(&settings, registry, names).await?;
            output.result(&rows, |rows| match rows.is_empty() {
                true => "There are no failed streams to fold.".to_owned(),
                false => format!("Would be folded once more:\n{}", streams(rows)),
            });
            if !rows.is_empty() {
                announced(command, &settings, registry, output).await?;
            }
        }
        ErrorsVerb::Retry { names, .. } => {
            let report = retry_failed_streams(&settings, registry, names).await?;
            output.result(&report, |report| retried(report, command));
            return Ok(if report.remaining.is_empty() { 0 } else { EXIT_FAILED_STREAMS });
        }
        ErrorsVerb::Show { stream, .. } => {
            let details = failed_stream(&settings, registry, stream).await?;
            let shown: Vec<_> = details.iter().map(shown).collect();
            output.result(&shown, |shown| {
                if shown.is_empty() {
                    return format!("{stream} is no failed stream of any build.");
                }
                details.iter().map(details_text).collect::<Vec<_>>().join("\n\n")
            });
        }
    }
    Ok(0)
}

/// A failed stream with the commit it failed at, for machines.
fn shown(details: &FailedStreamDetails) -> serde_json::Value {
    json!({ "failed_stream": FailedStreamRow::from(&details.failed_stream), "commit": details.commit })
}

/// A failed stream with the commit it failed at, for people.
fn details_text(details: &FailedStreamDetails) -> String {
    let row = FailedStreamRow::from(&details.failed_stream);
    let of_type = if row.event_type.is_empty() { String::new() } else { format!(" ({})", row.event_type) };
    let commit = details.commit.as_ref().map_or_else(
        || "The commit isn't in the event store any more.".to_owned(),
        |commit| serde_json::to_string_pretty(commit).unwrap_or_default(),
    );
    let (build, stream, offset) = (&row.build, &row.stream, row.offset);
    format!("{build}: {stream}, event {offset}{of_type}\n{}: {}\n{commit}", row.reason, row.message)
}

fn retried(report: &RetryReport, command: &Command) -> String {
    let (healed, left) = (report.healed.len(), report.remaining.len());
    let mut text = match (healed, left) {
        (0, 0) => "There are no failed streams to fold.".to_owned(),
        (healed, 0) => format!("Folded now: {healed}. No failed stream is left of these."),
        (healed, left) => {
            format!("Folded now: {healed}. Still not: {left}.\n{}", list(&report.remaining, command))
        }
    };
    for left_out in &report.left_out {
        text.push_str(&format!("\nnot tried: {}: {}", left_out.build, left_out.reason));
    }
    text
}

fn list(rows: &[FailedStreamRow], command: &Command) -> String {
    if rows.is_empty() {
        return "There are no failed streams.".into();
    }
    let first = rows.first().map(|row| quoted(&row.stream)).unwrap_or_default();
    let show = command.other(&format!("errors show {first}"));
    let retry = command.next(&NextStep::RetryFailedStreams);
    format!("{}\nOne with its event: {show}\nOnce they are mended: {retry}", streams(rows))
}

fn streams(rows: &[FailedStreamRow]) -> String {
    let header = ["build", "stream", "event", "type", "reason", "message"];
    let cells = rows.iter().map(|row| {
        let (build, stream, offset) = (row.build.clone(), row.stream.clone(), row.offset.to_string());
        [build, stream, offset, row.event_type.clone(), row.reason.clone(), row.message.clone()]
    });
    table(header, cells)
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ErrorsArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: ErrorsVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ErrorsVerb {
    /// List them: of the newest build of a projection, or of all builds
    List {
        /// Projection, by name without case
        projection: Option<String>,
        #[command(flatten)]
        connection: Connection,
        /// Show at most so many, 0 for all
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(i64).range(0..))]
        limit: i64,
    },
    /// Fold them once more: after the event store was mended, or with a program that can read them
    ///
    /// Into the generation they belong to: the active one, or an unfinished build. Exit code 6 if some
    /// still can't be folded.
    Retry {
        /// Projections, by name without case, and streams [default: all]
        #[arg(value_name = "PROJECTION|STREAM")]
        names: Vec<String>,
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        consent: ConsentArgs,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Show those of one stream, with the event they are about
    Show {
        /// Name of the stream
        stream: String,
        #[command(flatten)]
        connection: Connection,
    },
}
