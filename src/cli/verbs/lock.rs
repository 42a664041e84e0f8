//! `statefold lock show|release`

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use statefold_projections::Registry;

use crate::cli::args::{Connection, ConsentArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::settings::{Raw, load};
use crate::error::{Error, Result};
use crate::next_step::NextStep;
use crate::operator::{LockReport, lock_state, release_lock};

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArgs {
    #[command(subcommand)]
    verb: LockVerb,
}

#[derive(Debug, Subcommand)]
enum LockVerb {
    /// Show who leads, what it is doing, and who holds the migration lock
    Show {
        #[command(flatten)]
        connection: Connection,
    },
    /// Open the migration lock that somebody else left behind
    ///
    /// Only for a holder that is certainly dead: another server may be migrating behind this lock.
    Release {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        consent: ConsentArgs,
        /// Say that the holder is dead
        #[arg(long)]
        force: bool,
    },
}

impl LockArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let verb = match self.verb {
            LockVerb::Show { .. } => VerbName::LockShow,
            LockVerb::Release { .. } => VerbName::LockRelease,
        };
        let force = matches!(self.verb, LockVerb::Release { force: true, .. });
        Command::new(verb, self.connection()).arguments(force.then(|| "--force".to_owned()))
    }

    /// Where the database is.
    pub(in crate::cli) fn connection(&self) -> &Connection {
        match &self.verb {
            LockVerb::Show { connection } | LockVerb::Release { connection, .. } => connection,
        }
    }
}

pub(in crate::cli) async fn run(
    args: &LockArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let connection = args.connection();
    let settings = load(connection, &Raw::default())?.settings;
    let report = lock_state(&settings, registry).await?;
    let refused = refusal(&args.verb).filter(|_| report.lock.as_ref().is_some_and(|lock| lock.locked));
    if let Some(refused) = refused {
        if !output.is_json() {
            output.result(&report, text);
        }
        return Err(Error::Config(vec![refused.to_owned()]));
    }
    output.result(&report, text);
    let LockVerb::Release { force, consent, .. } = args.verb else { return Ok(0) };
    let Some(lock) = report.lock.filter(|lock| lock.locked) else {
        if report.leader.is_some() {
            output.note("The lease isn't released by hand: it runs out by itself when its holder is gone.");
        }
        return Ok(0);
    };
    if !force || consent.dry_run || !(consent.yes || confirmed(output)) {
        let release = command.next(&NextStep::ReleaseLock);
        output.note(&format!("Nothing was changed. If the holder is certainly dead: {release}"));
        return Ok(0);
    }
    if release_lock(&settings, registry, &lock).await? {
        output.note(
            "The migration lock is open; what it was is recorded as `ForcedRelease` in the control document.",
        );
        return Ok(0);
    }
    let (collection, id) = (&settings.lease().collection, &settings.lease().version_id);
    Err(Error::LockHeld {
        document: format!("{collection}/{{_id: \"{id}\"}}"),
        holder: "by somebody else by now".into(),
    })
}

/// Why a lock that is held is not released, before anybody is asked.
fn refusal(verb: &LockVerb) -> Option<&'static str> {
    let LockVerb::Release { force, consent, .. } = verb else { return None };
    let asks = !consent.yes && !consent.dry_run;
    if asks && !std::io::stdin().is_terminal() {
        return Some("lock release asks on a terminal, and this is none: say --force --yes, or --dry-run");
    }
    (consent.yes && !force).then_some("lock release needs --force: that the holder is certainly dead")
}

fn text(report: &LockReport) -> String {
    let leader = match &report.leader {
        Some(leader) => format!("The lease is held by {} (statefold {}).", leader.line(), leader.version),
        None => "The lease is free: no statefold is at work.".to_owned(),
    };
    let lock = match (&report.document, &report.holder) {
        (None, _) => "The migration lock is free: there is no version document.".to_owned(),
        (Some(document), Some(holder)) => format!("The migration lock is held {holder}.\n{document}"),
        (Some(document), None) => format!("The migration lock is free.\n{document}"),
    };
    format!("{leader}\n{lock}")
}

fn confirmed(output: &Output) -> bool {
    output.note("Type `release` to open the migration lock:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "release"
}
