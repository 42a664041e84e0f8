//! `statefold lock show|release`

use clap::{Args, Subcommand};
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::command::Command;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, settings};
use crate::error::Error;
use crate::operator::{LockReport, lock_state, release_lock};

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArgs {
    #[command(subcommand)]
    verb: LockVerb,
}

#[derive(Debug, Subcommand)]
enum LockVerb {
    /// Show who leads, what it is doing, and who holds the lock
    Show {
        #[command(flatten)]
        connection: Connection,
    },
    /// Open the lock that somebody else left behind
    ///
    /// Only for a holder that is certainly dead: another server may be migrating behind this lock.
    Release {
        #[command(flatten)]
        connection: Connection,
        /// Say that the holder is dead
        #[arg(long)]
        force: bool,
    },
}

pub(in crate::cli) async fn run(args: LockArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let (connection, release) = match args.verb {
        LockVerb::Show { connection } => (connection, None),
        LockVerb::Release { connection, force } => (connection, Some(force)),
    };
    let command = Command::new(if release.is_some() { "lock release" } else { "lock show" }, &connection);
    let failed = |error| Failed::new(error, &command);
    let (settings, _) = settings(&connection, &Raw::default()).map_err(failed)?;
    let report = lock_state(&settings, registry).await.map_err(failed)?;
    output.result(&report, text);
    let Some(force) = release else { return Ok(0) };
    let Some(lock) = report.lock.filter(|lock| lock.locked) else {
        if report.leader.is_some() {
            output.note("The lease isn't released by hand: it runs out by itself when its holder is gone.");
        }
        return Ok(0);
    };
    if !force || !(connection.yes || confirmed(output)) {
        let (force, yes) = (command.with("lock release --force"), command.with("lock release --force --yes"));
        output.note(&format!(
            "Nothing was changed. If the holder is certainly dead: {force} asks, {yes} doesn't"
        ));
        return Ok(0);
    }
    if release_lock(&settings, registry, &lock).await.map_err(failed)? {
        output.note("The lock is open; what it was is noted as `ForcedRelease` in the control document.");
        return Ok(0);
    }
    Err(failed(Error::LockHeld {
        document: "Migration/Default".into(),
        holder: "by somebody else by now".into(),
    }))
}

fn text(report: &LockReport) -> String {
    let leader = match &report.leader {
        Some(leader) => format!("The lease is held by {} (statefold {}).", leader.line(), leader.version),
        None => "The lease is free: no statefold is at work.".to_owned(),
    };
    let lock = match (&report.document, &report.holder) {
        (None, _) => "The lock is free: there is no version document.".to_owned(),
        (Some(document), Some(holder)) => format!("The lock is held {holder}.\n{document}"),
        (Some(document), None) => format!("The lock is free.\n{document}"),
    };
    format!("{leader}\n{lock}")
}

fn confirmed(output: &Output) -> bool {
    output.note("Type `release` to open it:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "release"
}
