//! What stands below the projections.

use maud::{Markup, PreEscaped, html};

use crate::observe::{InstanceRow, WorkerRow};
use crate::page::html::age::age;
use crate::page::model::words::{count, thousands};
use crate::page::model::{Failed, FailedStream, LagShown};

pub(super) fn lags(lags: &[LagShown]) -> Markup {
    html! {
        h2 { "Lag" span.quiet { " of 15 minutes" } }
        @if lags.is_empty() { p.empty { "No generation is active." } }
        @for lag in lags {
            div.lag {
                h3 { (lag.projection) }
                span.curve aria-hidden="true" { (PreEscaped(&lag.curve)) }
                p class=(lag.tone.name()) { (lag.line) }
            }
        }
    }
}

pub(super) fn failed(failed: &Failed) -> Markup {
    html! {
        h2 { "Failed streams" }
        @if failed.total == 0 { p.empty { "None." } }
        @else {
            ul.reasons {
                @for (reason, streams) in &failed.reasons {
                    li { strong { (thousands(*streams)) } " " (reason) }
                }
            }
            @for stream in &failed.first { (a_failed_stream(stream)) }
            @let shown = failed.first.len() as u64;
            @if failed.total > shown { p.quiet { "and " (count(failed.total - shown, "more", "more")) } }
        }
    }
}

fn a_failed_stream(failed: &FailedStream) -> Markup {
    html! {
        details data-key=(failed.id) {
            summary { code { (failed.stream) } span.quiet { (failed.build) } }
            p { (failed.event) ": " (failed.message) }
            @match &failed.commit {
                Some(commit) => { pre tabindex="0" aria-label="The commit as JSON" { (commit) } }
                None => { p.quiet { "The commit is gone." } }
            }
        }
    }
}

pub(super) fn instances(instances: &[InstanceRow], workers: &[WorkerRow]) -> Markup {
    html! {
        h2 { "Servers" }
        @if instances.is_empty() { p.empty { "None has registered." } }
        @else {
            ul.instances { @for instance in instances { (an_instance(instance)) } }
        }
        @if !workers.is_empty() {
            h2 { "Workers" }
            ul.instances { @for worker in workers { (a_worker(worker)) } }
        }
    }
}

fn a_worker(worker: &WorkerRow) -> Markup {
    html! {
        li {
            p {
                strong { (worker.host) }
                @if let Some(pid) = worker.pid { span.quiet { " pid " (pid) } }
                @if worker.leads { span.badge { "leads" } }
            }
            p.quiet {
                @match &worker.build {
                    Some(build) => {
                        (build) ": " (worker.tasks()) " (" (worker.partitions_done) " finished), "
                        (format!("{:.0}", worker.commits_per_second)) " commits/s"
                    }
                    None => { "waits for a build" }
                }
                @if let Some(bytes) = worker.memory_bytes { ", " (bytes >> 20) " MiB" }
                ", last heard of " (format!("{:.0}", worker.last_beat_seconds)) " s ago"
            }
        }
    }
}

fn an_instance(instance: &InstanceRow) -> Markup {
    let versions = |versions: &[u32]| versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    html! {
        li {
            p {
                strong { (instance.host) }
                @if let Some(pid) = instance.pid { span.quiet { " pid " (pid) } }
                @if instance.read_only { span.badge.warn { "read only" } }
            }
            p.quiet {
                "statefold " (instance.version)
                @if let Some(started) = &instance.started { ", started " (age(started)) }
            }
            p.reads {
                "reads "
                @for (name, read) in &instance.reads { span { (name) " " (versions(read)) } }
            }
        }
    }
}
