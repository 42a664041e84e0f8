//! `statefold errors list|show|retry`

use clap::{Args, Subcommand};
use serde_json::json;
use statefold_projections::Registry;

use crate::cli::EXIT_FAILED_STREAMS;
use crate::cli::args::Connection;
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::table;
use crate::cli::settings::{Raw, settings};
use crate::operator::{FailedStreamRow, RetryReport, failed_stream, failed_streams, retry_failed_streams};

pub(in crate::cli) async fn run(
    args: ErrorsArgs,
    registry: &Registry,
    output: &Output,
) -> Result<u8, Failed> {
    match args.verb {
        ErrorsVerb::List { projection, connection, limit } => {
            let command = Command::new("errors list", &connection);
            let failed = |error| Failed::new(error, &command);
            let (settings, _) = settings(&connection, &Raw::default()).map_err(failed)?;
            let failed_streams =
                failed_streams(&settings, registry, projection.as_deref(), limit).await.map_err(failed)?;
            let rows: Vec<FailedStreamRow> = failed_streams.iter().map(FailedStreamRow::from).collect();
            output.result(&rows, |rows| list(rows, &command));
        }
        ErrorsVerb::Retry { names, connection } => {
            let command = Command::new("errors retry", &connection);
            let failed = |error| Failed::new(error, &command);
            let (settings, _) = settings(&connection, &Raw::default()).map_err(failed)?;
            let report = retry_failed_streams(&settings, registry, &names).await.map_err(failed)?;
            output.result(&report, |report| retried(report, &command));
            return Ok(if report.remaining.is_empty() { 0 } else { EXIT_FAILED_STREAMS });
        }
        ErrorsVerb::Show { stream, connection } => {
            let command = Command::new("errors show", &connection);
            let failed = |error| Failed::new(error, &command);
            let (settings, _) = settings(&connection, &Raw::default()).map_err(failed)?;
            let details = failed_stream(&settings, registry, &stream).await.map_err(failed)?;
            let all: Vec<_> = details
                .iter()
                .map(|one| json!({ "failed_stream": FailedStreamRow::from(&one.failed_stream), "commit": one.commit }))
                .collect();
            output.result(&all, |all| {
                if all.is_empty() {
                    return format!("{stream} is no failed stream of any build.");
                }
                let text = |one| serde_json::to_string_pretty(one).unwrap_or_default();
                all.iter().map(text).collect::<Vec<_>>().join("\n")
            });
        }
    }
    Ok(0)
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
    for one in &report.left_out {
        text.push_str(&format!("\nnot tried: {}: {}", one.build, one.reason));
    }
    text
}

fn list(rows: &[FailedStreamRow], command: &Command) -> String {
    if rows.is_empty() {
        return "There are no failed streams.".into();
    }
    let header = ["build", "stream", "event", "type", "reason", "message"];
    let cells = rows.iter().map(|one| {
        let (build, stream, offset) = (one.build.clone(), one.stream.clone(), one.offset.to_string());
        [build, stream, offset, one.event_type.clone(), one.reason.clone(), one.message.clone()]
    });
    let (show, retry) = (command.with("errors show STREAM"), command.with("errors retry"));
    format!("{}\nOne with its event: {show}\nOnce they are mended: {retry}", table(header, cells))
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
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
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
    },
    /// Show those of one stream, with the event they are about
    Show {
        /// Name of the stream
        stream: String,
        #[command(flatten)]
        connection: Connection,
    },
}
