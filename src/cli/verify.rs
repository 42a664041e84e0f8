//! `statefold verify`

use std::time::Duration;

use statefold_projections::Registry;

use crate::cli::args::VerifyArgs;
use crate::cli::exit::{EXIT_MISMATCH, Failed};
use crate::cli::output::Output;
use crate::cli::settings::{Command, Raw, settings};
use crate::cli::table::{number, seconds, table};
use crate::cli::{plan, watch};
use crate::engine::verify::{Difference, Kind, Verified};
use crate::operator::{Verification, VerifyReport, verify};

pub(super) async fn run(args: &VerifyArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let mut verb = vec!["verify".to_owned()];
    verb.extend(args.projections.iter().cloned());
    verb.extend(args.collections.iter().map(|name| format!("--collection {name}")));
    let command = Command::new(verb.join(" "), &args.connection);
    let failed = |error| Failed::new(error, &command);
    let raw = Raw { tuning: Some(&args.tuning), ..Raw::default() };
    let (settings, _) = settings(&args.connection, &raw).map_err(failed)?;
    let request = Verification {
        projections: args.projections.clone(),
        collections: args.collections.clone(),
        share: args.sample,
    };
    let begin = || verify(&settings, registry, request);
    let interval = Duration::from_secs(args.interval);
    let report = watch::watched(begin, None, interval, output).await.map_err(failed)?;
    output.result(&report, |report| text(report, settings.database()));
    Ok(if report.is_equal() { 0 } else { EXIT_MISMATCH })
}

fn text(report: &VerifyReport, database: &str) -> String {
    if report.projections.is_empty() {
        return plan::no_event_store(database, &report.databases_with_events);
    }
    let header = ["projection", "collections", "streams", "snapshots", "missing", "extra", "differing"];
    let rows = report.projections.iter().map(|one| {
        [
            one.projection.clone(),
            one.collections.join(" "),
            number(one.streams),
            number(one.snapshots),
            number(one.missing),
            number(one.extra),
            number(one.differing),
        ]
    });
    let mut text = table(header, rows);
    for one in &report.projections {
        text.push_str(&format!("\n{}", verdict(one)));
    }
    text.push_str(&format!("\nFolded and compared in {}", seconds(report.seconds)));
    text
}

/// What was found, in words.
pub(super) fn verdict(one: &Verified) -> String {
    let what = match (one.generation, one.share.is_all()) {
        (Some(generation), true) => format!("{} (generation {generation})", one.projection),
        (Some(generation), false) => format!("{} of {} (generation {generation})", one.share, one.projection),
        (None, true) => one.collections.join(", "),
        (None, false) => format!("{} of {}", one.share, one.collections.join(", ")),
    };
    let mut text = if one.is_equal() {
        format!("{what} equals the event store")
    } else {
        format!("{what} DIFFERS from the event store")
    };
    if let Some(digest) = &one.digest {
        text.push_str(&format!(", digest {digest}"));
    }
    if one.foreign > 0 {
        text.push_str(&format!(
            "\n  {} documents have an _id that isn't a text: no stream gives them",
            number(one.foreign)
        ));
    }
    if one.suspected > 0 {
        text.push_str(&format!(
            "\n  {} more streams seem to differ; they were not looked at",
            number(one.suspected)
        ));
    }
    if one.moving > 0 {
        text.push_str(&format!(
            "\n  {} streams changed whenever they were looked at: nothing is said of them",
            number(one.moving)
        ));
    }
    if one.dead_letters > 0 {
        text.push_str(&format!(
            "\n  {} streams can't be folded: what should be stored of them isn't known",
            number(one.dead_letters)
        ));
    }
    one.differences.iter().for_each(|difference| text.push_str(&format!("\n{}", lines(difference))));
    let shown = one.differences.len() as u64;
    let all = one.missing + one.extra + one.differing;
    if all > shown {
        text.push_str(&format!("\n  and {} more", number(all - shown)));
    }
    text
}

/// One difference, with its fields: `-` is what is stored, `+` what the events give.
fn lines(difference: &Difference) -> String {
    let Difference { collection, id, kind, fields, .. } = difference;
    let mut text = match kind {
        Kind::Missing => format!("  {collection} {id}: missing"),
        Kind::Extra => format!("  {collection} {id}: one too many"),
        Kind::Differing => format!("  {collection} {id}:"),
    };
    for field in fields {
        if let Some(found) = &field.found {
            text.push_str(&format!("\n    - {}: {found}", field.path));
        }
        if let Some(expected) = &field.expected {
            text.push_str(&format!("\n    + {}: {expected}", field.path));
        }
    }
    text
}
