//! `statefold rebuild`

use std::time::Duration;

use bytesize::ByteSize;
use statefold_projections::Registry;

use crate::cli::args::{ReadersArgs, RebuildArgs};
use crate::cli::exit::Failed;
use crate::cli::output::Output;
use crate::cli::settings::{Command, Raw, settings};
use crate::cli::table::{number, seconds, table};
use crate::cli::{plan, watch};
use crate::config::Politeness;
use crate::engine::pass::PassReport;
use crate::engine::run::{Rebuild, RebuildReport};
use crate::operator::rebuild;

pub(super) async fn run(args: &RebuildArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let command = typed(args, false);
    let failed = |error| Failed::new(error, &command);
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        politeness: Some(&args.politeness),
        attempts: None,
        max_errors: args.checks.max_errors.as_deref(),
        verify: args.checks.verify.as_deref(),
        ..Raw::default()
    };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    let politeness = Politeness { ignore_margin: args.ignore_margin, ..settings.politeness().clone() };
    let settings = settings.with_politeness(politeness);
    if !args.connection.yes {
        let code = plan::show(&settings, registry, &args.projections, output, &command).await?;
        let again = typed(args, args.fresh).again();
        output.note(&format!("Nothing was changed. To do it: {again}"));
        return Ok(code);
    }
    let request = Rebuild {
        projections: args.projections.clone(),
        fresh: args.fresh,
        mode: args.readers.mode,
        postpone: args.postpone,
        force: args.readers.force,
    };
    let listen = args.listen.clone().or(listen);
    let interval = Duration::from_secs(args.interval);
    let begin = || rebuild(&settings, registry, request);
    let report = watch::watched(begin, listen.as_deref(), interval, output).await.map_err(failed)?;
    output.result(&report, |report| text(report, settings.database(), &args.readers, &command));
    Ok(0)
}

/// What was typed. To go on afterwards nothing begins anew.
fn typed(args: &RebuildArgs, fresh: bool) -> Command {
    let mut verb = vec!["rebuild".to_owned()];
    verb.extend(args.projections.iter().cloned());
    verb.extend(fresh.then(|| "--fresh".to_owned()));
    verb.extend(args.postpone.then(|| "--postpone".to_owned()));
    verb.extend(args.readers.typed());
    verb.extend(args.checks.verify.iter().map(|what| format!("--verify {what}")));
    Command::new(verb.join(" "), &args.connection).flag("--max-errors", args.checks.max_errors.as_deref())
}

fn text(report: &RebuildReport, database: &str, readers: &ReadersArgs, command: &Command) -> String {
    if report.projections.is_empty() {
        return plan::no_event_store(database, &report.databases_with_events);
    }
    let mut text = built_text(report, command);
    if report.postponed {
        let names = report.projections.iter().map(|one| one.projection.clone());
        let verb: Vec<String> =
            std::iter::once("cutover".to_owned()).chain(names).chain(readers.typed()).collect();
        let verb = format!("{} --yes", verb.join(" "));
        text.push_str(&format!("\nReaders still have what they had. To go on: {}", command.with(&verb)));
    }
    text
}

/// The published generations, in words.
pub(super) fn built_text(report: &RebuildReport, command: &Command) -> String {
    let header = [
        "projection",
        "generation",
        "collections",
        "events",
        "snapshots",
        "dead letters",
        "build",
        "index",
        "check",
        "verify",
    ];
    let rows = report.projections.iter().map(|one| {
        [
            one.projection.clone(),
            one.generation.to_string(),
            one.collections.join(" "),
            number(one.events),
            number(one.snapshots),
            number(one.dead_letters),
            seconds(one.build_seconds),
            seconds(one.index_seconds),
            seconds(one.check_seconds),
            seconds(one.verify_seconds),
        ]
    });
    let mut text = table(header, rows);
    for one in &report.projections {
        let how = if report.postponed { "complete and verified" } else { "active" };
        text.push_str(&format!(
            "\n{} is {how} as generation {}, digest {}",
            one.projection, one.generation, one.digest
        ));
        // Nothing was read where everything was there before, as for a cut-over of its own.
        if one.partitions_resumed > 0 && report.pass.is_some() {
            let (kept, all) = (one.partitions_resumed, one.partitions);
            text.push_str(&format!("; {kept} of {all} partitions were kept from an earlier run"));
        }
    }
    if let Some(pass) = &report.pass {
        text.push_str(&format!("\n{}", read_and_planned(pass)));
    }
    let refolded: u64 = report.projections.iter().map(|one| one.streams_refolded).sum();
    if refolded > 0 {
        text.push_str(&format!("\n{} streams changed meanwhile and were folded again", number(refolded)));
    }
    for cut_over in report.cut_over.iter().filter(|one| one.fenced) {
        if cut_over.read_only {
            text.push_str("\nThe event store was read-only all along, and still is");
            continue;
        }
        text.push_str(&format!("\nThe event store refused events for {:.1} ms", cut_over.fence_ms));
        if cut_over.tries > 1 {
            text.push_str(&format!(", in the last of {} tries", cut_over.tries));
        }
    }
    if let Some(weakness) = &report.weakness {
        text.push_str(&format!("\nnote: {weakness}"));
    }
    if report.projections.iter().any(|one| one.dead_letters > 0) {
        text.push_str(&format!("\nSome streams have no snapshot: {}", command.with("errors list")));
    }
    text
}

/// How the event store was read, beside what was planned.
fn read_and_planned(pass: &PassReport) -> String {
    let divided = pass.divided_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let mut text = format!("Read in {} order{divided}: {}", pass.strategy, pass.reason);
    let (took, planned) = (seconds(pass.seconds), seconds(pass.planned_seconds));
    text.push_str(&format!("\nPlan and reality: {planned} planned, {took} taken"));
    if pass.memory_bytes > 0 {
        let size = |bytes: u64| if bytes == 0 { "little".to_owned() } else { ByteSize(bytes).to_string() };
        let (planned, used) = (size(pass.planned_memory_bytes), size(pass.memory_bytes));
        text.push_str(&format!("; memory for states: {planned} planned, {used} used"));
    }
    if pass.spilled_bytes > 0 {
        text.push_str(&format!("; {} spilled", ByteSize(pass.spilled_bytes)));
    }
    text
}
