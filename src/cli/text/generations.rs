//! What was built, as text.

use bytesize::ByteSize;

use crate::cli::command::Command;
use crate::cli::screen::table::{number, seconds, table};
use crate::engine::pass::PassReport;
use crate::engine::run::RebuildReport;

/// The published generations, in words.
pub(in crate::cli) fn built_text(report: &RebuildReport, command: &Command) -> String {
    let header = [
        "projection",
        "generation",
        "collections",
        "events",
        "snapshots",
        "failed streams",
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
            number(one.failed_streams),
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
    if report.projections.iter().any(|one| one.failed_streams > 0) {
        text.push_str(&format!("\nSome streams have no snapshot: {}", command.with("errors list")));
    }
    text
}

/// How the event store was read, beside what was planned.
pub(crate) fn read_and_planned(pass: &PassReport) -> String {
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
