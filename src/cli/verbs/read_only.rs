//! `statefold read-only on|off|status`

use clap::{Args, Subcommand};
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs, LeaseArgs};
use crate::cli::command::{Command, VerbName, quoted};
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::cli::text::event_store::fenced;
use crate::error::Result;
use crate::next_step::NextStep;
use crate::operator::{
    ReadOnlyReport, check_read_only_off, check_read_only_on, read_only_off, read_only_on, read_only_status,
};
use crate::store::FenceKind;

#[derive(Debug, Args)]
pub(in crate::cli) struct ReadOnlyArgs {
    #[command(subcommand)]
    verb: ReadOnlyVerb,
}

#[derive(Debug, Subcommand)]
enum ReadOnlyVerb {
    /// Make the event store refuse events, whoever writes
    ///
    /// By a validator of the collection: inserts fail with error 121, everything else works as before,
    /// rebuilds and migrations too. It stays so through restarts, until `read-only off`.
    On {
        /// Why, for those whose events are refused
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        consent: ConsentArgs,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Let the event store take events again, with the options it had before
    ///
    /// Also in a copy of a database that was made while it was read-only, and after a cut-over that was
    /// interrupted.
    Off {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        consent: ConsentArgs,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Show whether the event store takes events, and if not, why
    Status {
        #[command(flatten)]
        connection: Connection,
    },
}

impl ReadOnlyArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let verb = match self.verb {
            ReadOnlyVerb::On { .. } => VerbName::ReadOnlyOn,
            ReadOnlyVerb::Off { .. } => VerbName::ReadOnlyOff,
            ReadOnlyVerb::Status { .. } => VerbName::ReadOnlyStatus,
        };
        let reason = match &self.verb {
            ReadOnlyVerb::On { reason: Some(reason), .. } => Some(format!("--reason {}", quoted(reason))),
            _ => None,
        };
        Command::new(verb, self.connection()).arguments(reason)
    }

    /// Where the database is.
    pub(in crate::cli) fn connection(&self) -> &Connection {
        match &self.verb {
            ReadOnlyVerb::On { connection, .. }
            | ReadOnlyVerb::Off { connection, .. }
            | ReadOnlyVerb::Status { connection } => connection,
        }
    }

    fn lease(&self) -> Option<&LeaseArgs> {
        match &self.verb {
            ReadOnlyVerb::On { lease, .. } | ReadOnlyVerb::Off { lease, .. } => Some(lease),
            ReadOnlyVerb::Status { .. } => None,
        }
    }
}

pub(in crate::cli) async fn run(
    args: &ReadOnlyArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw { lease: args.lease(), ..Raw::default() };
    let settings = load(args.connection(), &raw)?.settings;
    if let ReadOnlyVerb::On { consent, .. } | ReadOnlyVerb::Off { consent, .. } = &args.verb
        && !consent.yes
    {
        let report = match &args.verb {
            ReadOnlyVerb::On { reason, .. } => {
                check_read_only_on(&settings, registry, reason.as_deref()).await?
            }
            _ => check_read_only_off(&settings, registry).await?,
        };
        let (would, can) = intention(&args.verb, &report);
        output.result(&report, |_| would);
        if can {
            output.nothing_changed(command);
        }
        return Ok(0);
    }
    let report = match &args.verb {
        ReadOnlyVerb::On { reason, .. } => read_only_on(&settings, registry, reason.as_deref()).await,
        ReadOnlyVerb::Off { .. } => read_only_off(&settings, registry).await,
        ReadOnlyVerb::Status { .. } => read_only_status(&settings, registry).await,
    };
    let report = report?;
    output.result(&report, |report| text(&args.verb, report));
    if !report.can_write {
        output.note(&format!("To lift it: {}", command.next(&NextStep::EndReadOnly)));
    }
    Ok(0)
}

/// Says what a verb would do, and whether there is anything to do.
fn intention(verb: &ReadOnlyVerb, report: &ReadOnlyReport) -> (String, bool) {
    let is_on = matches!(verb, ReadOnlyVerb::On { .. });
    match &report.fence {
        None if is_on => (format!("The event store of {} would refuse events.", report.database), true),
        None => ("Nothing to do. The event store takes events.".to_owned(), false),
        Some(fence) if is_on && fence.kind == FenceKind::ReadOnly => {
            (format!("Nothing to do. {}", fenced(fence, report.is_led)), false)
        }
        Some(fence) if is_on => {
            (format!("The fence that stands ({fence}) would be lifted; then it would refuse events."), true)
        }
        Some(fence) => (format!("The event store would take events again: it refuses them ({fence})."), true),
    }
}

fn text(verb: &ReadOnlyVerb, report: &ReadOnlyReport) -> String {
    let unchanged = match verb {
        ReadOnlyVerb::Status { .. } => "",
        _ if report.changed => "",
        _ => "Nothing to do. ",
    };
    let lifted = match &report.lifted {
        Some(fence) => format!("Lifted: {fence}. "),
        None => String::new(),
    };
    let stands = match &report.fence {
        Some(fence) => fenced(fence, report.is_led),
        None => "The event store takes events.".to_owned(),
    };
    let setting = if report.by_setting {
        "\nThis server is set to read-only (MODE_READONLY): its append helper writes no events."
    } else {
        ""
    };
    format!("{unchanged}{lifted}{stands}{setting}")
}
