//! Sentences about the event store: that there is none, that it is fenced.

use crate::store::{Fence, FenceKind};

/// Says that there is nothing to do, and where there might be.
pub(in crate::cli) fn no_event_store(database: &str, others: &[String]) -> String {
    let others = match others {
        [] => "no other database has one either, as far as this user can see".to_owned(),
        names => format!("these have one: {}", names.join(", ")),
    };
    format!(
        "Nothing to do: the database {database} has no event store; {others}. (An event store of another \
         form needs --projections, with its layout.)"
    )
}

/// Says which fence stands, and how it goes away.
pub(in crate::cli) fn fenced(fence: &Fence, is_led: bool) -> String {
    let end = match fence.kind {
        FenceKind::ReadOnly => "It stays so until `read-only off --yes`.",
        _ if is_led => "A cut-over is at work.",
        _ => "A cut-over was interrupted; whoever leads next lifts it.",
    };
    format!("The event store refuses events ({fence}). {end}")
}
