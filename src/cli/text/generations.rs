//! Generations that were built, as text.

use bytesize::ByteSize;

use crate::cli::command::Command;
use crate::cli::screen::table::{count, number, seconds, table};
use crate::engine::pass::PassReport;
use crate::engine::run::{Built, RebuildReport};
use crate::lifecycle::FencingReason;

/// That a definition is another one under the same version, as a line of its own.
pub(in crate::cli) fn redefined(projection: &str, version: u32) -> String {
    format!(
        "\n{projection}: the definition or its settings have changed since the active generation was built, \
         and it is still version {version}: rebuild, or use the settings that it was built with. (In a file \
         of projections, raise the version.)"
    )
}

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
    let rows = report.projections.iter().map(|built| {
        [
            built.projection.clone(),
            built.generation.to_string(),
            built.collections.join(" "),
            number(built.events),
            number(built.snapshots),
            number(built.failed_streams),
            seconds(built.build_seconds),
            seconds(built.index_seconds),
            seconds(built.check_seconds),
            seconds(built.verify_seconds),
        ]
    });
    let mut text = table(header, rows);
    for built in &report.projections {
        let how = if report.postponed { "complete and verified" } else { "active" };
        text.push_str(&format!(
            "\n{} is {how} as generation {}, digest {}",
            built.projection, built.generation, built.digest
        ));
        // A cut-over by itself reads nothing: all partitions were there before.
        if built.partitions_resumed > 0 && report.pass.is_some() {
            let (kept, all) = (built.partitions_resumed, built.partitions);
            text.push_str(&format!("; {kept} of {all} partitions were kept from an earlier run"));
        }
    }
    text.push_str(&proven(report));
    if let Some(pass) = &report.pass {
        text.push_str(&format!("\n{}", read_and_planned(pass)));
    }
    let refolded: u64 = report.projections.iter().map(|built| built.streams_refolded).sum();
    if refolded > 0 {
        let streams = count(
            refolded,
            "stream changed meanwhile and was refolded",
            "streams changed meanwhile and were refolded",
        );
        text.push_str(&format!("\n{streams}"));
    }
    for built in &report.projections {
        if let Some(remark) = &built.remark {
            let streams = count(remark.streams, "stream", "streams");
            text.push_str(&format!("\n{}: {streams} {}", built.projection, remark.what));
        }
    }
    for cut_over in &report.cut_over {
        let why = cut_over.reason.words();
        match cut_over.reason {
            FencingReason::NoEvents => continue,
            FencingReason::ReadOnly => {
                text.push_str("\nThe event store was read-only all along, and still is");
                continue;
            }
            _ if cut_over.fenced => {
                let refused =
                    format!("The event store refused events for {:.1} ms ({why})", cut_over.fence_ms);
                text.push_str(&format!("\n{refused}"));
            }
            _ => {
                let drained = count(cut_over.refolded_after, "stream", "streams");
                text.push_str(&format!(
                    "\nNo event was refused ({why}): {drained} changed in the last moment, and followed \
                     within {:.1} ms",
                    cut_over.drain_ms
                ));
            }
        }
        if cut_over.tries > 1 {
            text.push_str(&format!(", in the last of {} tries", cut_over.tries));
        }
    }
    if let Some(weakness) = &report.weakness {
        text.push_str(&format!("\nnote: {weakness}"));
    }
    if report.projections.iter().any(|built| built.failed_streams > 0) {
        text.push_str(&format!("\nSome streams have no snapshot: {}", command.other("errors list")));
    }
    text
}

/// What was proven, once for all.
fn proven(report: &RebuildReport) -> String {
    let proven = || report.projections.iter().filter(|built| built.verified.as_deref() == Some("proof"));
    if proven().next().is_none() {
        return String::new();
    }
    let sum = |of: fn(&Built) -> u64| number(proven().map(of).sum());
    let (sampled, streams) = (sum(|built| built.streams_sampled), sum(|built| built.streams));
    let whose = if proven().count() == report.projections.len() {
        String::new()
    } else {
        format!(" of {}", proven().map(|built| built.projection.as_str()).collect::<Vec<_>>().join(", "))
    };
    format!(
        "\nProven{whose}: what is stored is what was folded, its last commits are those of the event \
         store,\n{sampled} of {streams} streams folded once more are the same"
    )
}

/// How the event store was read, beside what was planned.
fn read_and_planned(pass: &PassReport) -> String {
    let divided = pass.divided_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let mut text = format!("Read in {} order{divided}: {}", pass.strategy, pass.reason);
    let (took, planned) = (seconds(pass.seconds), seconds(pass.planned_seconds));
    text.push_str(&format!("\nPlan and reality: {planned} planned, {took} taken"));
    if pass.held_seconds >= 1.0 {
        text.push_str(&format!(" (and {} of waiting)", seconds(pass.held_seconds)));
    }
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
