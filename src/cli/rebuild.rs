//! `statefold rebuild`

use std::time::Duration;

use bytesize::ByteSize;
use statefold_projections::Registry;

use super::args::RebuildArgs;
use super::exit::Failed;
use super::output::Output;
use super::settings::{Command, Raw, settings};
use super::table::{number, seconds, table};
use super::{plan, watch};
use crate::config::Politeness;
use crate::rebuild::{PassReport, Rebuild, RebuildReport, rebuild};

pub(super) async fn run(args: &RebuildArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let mut verb = vec!["rebuild".to_owned()];
    verb.extend(args.projections.iter().cloned());
    let command =
        Command::new(verb.join(" "), &args.connection).flag("--max-errors", args.max_errors.as_deref());
    let failed = |error| Failed::new(error, &command);
    let raw = Raw {
        tuning: Some(&args.tuning),
        lease: Some(&args.lease),
        politeness: Some(&args.politeness),
        attempts: None,
        max_errors: args.max_errors.as_deref(),
        verify: args.verify.as_deref(),
        ..Raw::default()
    };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    let politeness = Politeness { ignore_margin: args.ignore_margin, ..settings.politeness().clone() };
    let settings = settings.with_politeness(politeness);
    if !args.connection.yes {
        let code = plan::show(&settings, registry, &args.projections, output, &command).await?;
        output.note(&format!("Nothing was changed. To do it: {}", command.again()));
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
    output.result(&report, |report| text(report, settings.database(), &command));
    Ok(0)
}

fn text(report: &RebuildReport, database: &str, command: &Command) -> String {
    if report.projections.is_empty() {
        return plan::no_event_store(database, &report.databases_with_events);
    }
    built_text(report, command)
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
        if one.partitions_resumed > 0 {
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
    if report.postponed {
        text.push_str(&format!("\nTo make them active: {}", command.with("cutover --yes")));
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
