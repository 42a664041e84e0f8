//! How far an active generation is behind the event store, whether or not it is followed.

use bson::Timestamp;
use serde::Serialize;
use statefold_projections::Registered;

use crate::error::Result;
use crate::store::{ActiveGeneration, BuildRecord, Positions, Store};

/// Events that statefold didn't fold into the active generation.
///
/// They are counted by a short look at the commits after `since`: there may be more than were counted. An
/// application that writes its own snapshots has folded them itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Lag {
    /// Number of commits that aren't folded.
    pub commits: u64,
    /// Number of their events.
    pub events: u64,
    /// Number of their streams.
    pub streams: u64,
    /// Whether there are more commits than were counted.
    pub more: bool,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    pub seconds: u64,
    /// Time up to which everything is certainly folded, in RFC 3339: the cut-over, or the position of
    /// `follow`.
    pub since: Option<String>,
    /// Whether `follow` keeps this generation current, or did until `since`.
    pub followed: bool,
}

impl Lag {
    /// The lag in words; empty if there is none.
    #[must_use]
    pub fn line(&self) -> String {
        if self.commits == 0 {
            return String::new();
        }
        let least = if self.more { "at least " } else { "" };
        let (events, streams, age) = (self.events, self.streams, age(self.seconds));
        format!("{least}{events} events in {streams} streams, the oldest {age} ago")
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Measures the lag of a projection's active generation. `None` if a short look can't tell.
pub(super) async fn lag(
    store: &Store,
    projection: &Registered,
    active: &ActiveGeneration,
    record: &BuildRecord,
    positions: &Positions,
) -> Result<Option<Lag>> {
    let position = positions.get(&record.id).copied();
    // A cut-over without a fence folds the rest after its flip.
    let flipped = active.undrained.map_or(active.since, |left| left.folded);
    let since = position.map_or(flipped, |position| position.max(flipped));
    let filter = projection.spec().stream_filter();
    let build = store.builds().open(record.clone(), filter.first());
    let Some(unfolded) = build.unfolded(filter, since).await? else { return Ok(None) };
    let clock = || u32::try_from(bson::DateTime::now().timestamp_millis() / 1000).unwrap_or(u32::MAX);
    let now = store.operation_time().await?.map_or_else(clock, |now| now.time);
    Ok(Some(Lag {
        commits: unfolded.commits,
        events: unfolded.events,
        streams: unfolded.streams,
        more: unfolded.more,
        seconds: unfolded.oldest.map_or(0, |oldest| u64::from(now.saturating_sub(oldest.time))),
        since: in_words(since),
        followed: position.is_some(),
    }))
}

fn in_words(time: Timestamp) -> Option<String> {
    bson::DateTime::from_millis(i64::from(time.time) * 1000).try_to_rfc3339_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_said() {
        let lag = Lag {
            commits: 1000,
            events: 1200,
            streams: 7,
            more: true,
            seconds: 7300,
            since: None,
            followed: false,
        };
        assert_eq!(lag.line(), "at least 1200 events in 7 streams, the oldest 2 h ago");
        assert_eq!(Lag { commits: 0, more: false, ..lag }.line(), "");
    }
}
