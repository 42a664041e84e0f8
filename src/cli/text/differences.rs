//! The findings of a comparison, as text.

use crate::cli::screen::table::{count, number};
use crate::engine::verify::{Difference, FieldCount, Kind, Verified};

/// Fields that are counted one by one.
const FIELDS: usize = 12;

/// The verdict on one projection, with its differences.
pub(in crate::cli) fn verdict(verified: &Verified) -> String {
    let subject = match (verified.generation, verified.share.is_all()) {
        (Some(generation), true) => format!("{} (generation {generation})", verified.projection),
        (Some(generation), false) => {
            format!("{} of {} (generation {generation})", verified.share, verified.projection)
        }
        (None, true) => verified.collections.join(", "),
        (None, false) => format!("{} of {}", verified.share, verified.collections.join(", ")),
    };
    let mut text = if verified.differs() {
        format!("{subject} DIFFERS from the event store")
    } else if verified.moving == 0 && verified.stale > 0 {
        format!("{subject} equals the event store but for what it says of other projections")
    } else if verified.moving == 0 {
        format!("{subject} equals the event store")
    } else {
        format!("{subject} equals the event store as far as it stood still")
    };
    if let Some(digest) = &verified.digest {
        text.push_str(&format!(", digest {digest}"));
    }
    if let Some(sampled) = verified.proven_by {
        text.push_str(&format!(
            "\n  proven: what is stored is what was folded, its last commits are those of the event \
             store,\n  {} of {} streams folded once more are the same (--full folds all of them)",
            number(sampled),
            number(verified.streams)
        ));
    }
    for (value, singular, plural) in [
        (
            verified.foreign,
            "document has an _id that isn't a text: no stream gives it",
            "documents have an _id that isn't a text: no stream gives them",
        ),
        (
            verified.suspected,
            "more stream seems to differ; it was not looked at",
            "more streams seem to differ; they were not looked at",
        ),
        (
            verified.stale,
            "snapshot is stale: what it says of other projections is out of date",
            "snapshots are stale: what they say of other projections is out of date",
        ),
        (
            verified.moving,
            "stream changed whenever it was looked at: nothing is said of it",
            "streams changed whenever they were looked at: nothing is said of them",
        ),
        (
            verified.failed_streams,
            "stream can't be folded: what should be stored of it isn't known",
            "streams can't be folded: what should be stored of them isn't known",
        ),
    ] {
        if value > 0 {
            text.push_str(&format!("\n  {}", count(value, singular, plural)));
        }
    }
    if !verified.fields.is_empty() {
        let field = |field: &FieldCount| format!("{} {}", field.path, number(field.snapshots));
        let fields: Vec<String> = verified.fields.iter().take(FIELDS).map(field).collect();
        let more = verified.fields.len().saturating_sub(FIELDS);
        let more = if more > 0 { format!(", and {more} more fields") } else { String::new() };
        text.push_str(&format!("\n  by field: {}{more}", fields.join(", ")));
    }
    verified.moving_streams.iter().for_each(|stream| text.push_str(&format!("\n  {stream}")));
    verified.differences.iter().for_each(|difference| text.push_str(&format!("\n{}", lines(difference))));
    let stale = verified.stale_differences.iter().map(|difference| format!("\n{}", lines(difference)));
    text.extend(stale);
    let shown = verified.differences.len() as u64;
    let all = verified.missing + verified.extra + verified.differing;
    if all > shown {
        text.push_str(&format!("\n  and {} more", number(all - shown)));
    }
    text
}

/// One difference, with its fields: what is stored, and what the events give.
fn lines(difference: &Difference) -> String {
    let Difference { collection, id, kind, fields, .. } = difference;
    let mut text = match kind {
        Kind::Missing => format!("  {collection} {id}: missing"),
        Kind::Extra => format!("  {collection} {id}: one too many"),
        Kind::Differing => format!("  {collection} {id}:"),
        Kind::Stale => format!("  {collection} {id}, stale:"),
    };
    for field in fields {
        text.push_str(&format!("\n    {}: {}", field.path, field.words));
    }
    text
}
