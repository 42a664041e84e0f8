//! What a comparison found, as text.

use crate::cli::screen::table::number;
use crate::engine::verify::{Difference, Kind, Verified};

/// What was found, in words.
pub(in crate::cli) fn verdict(one: &Verified) -> String {
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
    if one.failed_streams > 0 {
        text.push_str(&format!(
            "\n  {} streams can't be folded: what should be stored of them isn't known",
            number(one.failed_streams)
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
pub(crate) fn lines(difference: &Difference) -> String {
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
