//! `statefold rebuild`

use std::time::Duration;

use bytesize::ByteSize;
use statefold_projections::Registry;

use super::args::RebuildArgs;
use super::exit::Failed;
use super::output::Output;
use super::settings::{Command, Raw, settings};
use super::table::{number, seconds, table};
use super::{metrics, plan, progress, signals};
use crate::rebuild::{PassReport, Rebuild, RebuildReport, rebuild};

pub(super) async fn run(args: &RebuildArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let mut verb = vec!["rebuild".to_owned()];
    verb.extend(args.projections.iter().cloned());
    let command =
        Command::new(verb.join(" "), &args.connection).flag("--max-errors", args.max_errors.as_deref());
    let failed = |error| Failed::new(error, &command);
    let raw = Raw { tuning: Some(&args.tuning), max_errors: args.max_errors.as_deref() };
    let (settings, listen) = settings(&args.connection, &raw).map_err(failed)?;
    if !args.connection.yes {
        let code = plan::show(&settings, registry, &args.projections, output, &command).await?;
        output.note(&format!("Nothing was changed. To do it: {}", command.again()));
        return Ok(code);
    }
    let request = Rebuild { projections: args.projections.clone(), fresh: args.fresh };
    // The recorder has to be there before the first metric.
    let (sender, health) = tokio::sync::watch::channel(crate::observe::Progress::default());
    if let Some(address) = args.listen.clone().or(listen) {
        metrics::listen(&address, health, output).await.map_err(failed)?;
    }
    let running = rebuild(&settings, registry, request);
    signals::cancel_on_signal(running.cancellation());
    let forward = tokio::spawn(forward(running.progress(), sender));
    let shown = progress::show(running.progress(), Duration::from_secs(args.interval));
    let result = running.await;
    drop(shown);
    let _ = forward.await;
    let report = result.map_err(failed)?;
    output.result(&report, |report| text(report, settings.database(), &command));
    Ok(0)
}

async fn forward(
    mut progress: tokio::sync::watch::Receiver<crate::observe::Progress>,
    to: tokio::sync::watch::Sender<crate::observe::Progress>,
) {
    while progress.changed().await.is_ok() {
        to.send_replace(progress.borrow_and_update().clone());
    }
}

fn text(report: &RebuildReport, database: &str, command: &Command) -> String {
    if report.projections.is_empty() {
        return plan::no_event_store(database, &report.databases_with_events);
    }
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
        ]
    });
    let mut text = table(header, rows);
    for one in &report.projections {
        text.push_str(&format!(
            "\n{} is active as generation {}, digest {}",
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
