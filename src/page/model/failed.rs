//! The streams that could not be folded.

use crate::operator::Failures;

/// The longest text of an event that is shown, in characters: a page isn't a viewer of documents.
const EVENT_CHARACTERS_MAX: usize = 20_000;

/// How many, why, and the first of them.
#[derive(Debug, Default)]
pub(in crate::page) struct Failed {
    pub(in crate::page) total: u64,
    pub(in crate::page) reasons: Vec<(String, u64)>,
    pub(in crate::page) first: Vec<FailedStream>,
}

/// One of them.
#[derive(Debug)]
pub(in crate::page) struct FailedStream {
    pub(in crate::page) id: String,
    pub(in crate::page) stream: String,
    pub(in crate::page) build: String,
    pub(in crate::page) event: String,
    pub(in crate::page) message: String,
    /// The commit with the event, as JSON; absent if it is gone.
    pub(in crate::page) commit: Option<String>,
}

pub(super) fn failed(failures: &Failures) -> Failed {
    let first = failures.first.iter().map(|details| {
        let failed = &details.failed_stream;
        let commit = details.commit.as_ref().and_then(|commit| serde_json::to_string_pretty(commit).ok());
        FailedStream {
            id: failed.id.clone(),
            stream: failed.stream.clone(),
            build: failed.build.clone(),
            event: match failed.event_type.as_str() {
                "" => format!("event {}", failed.offset),
                kind => format!("event {}, {kind}", failed.offset),
            },
            message: failed.message.clone(),
            commit: commit.map(|text| shortened(&text)),
        }
    });
    Failed {
        total: failures.reasons.iter().map(|(_, streams)| streams).sum(),
        reasons: failures.reasons.clone(),
        first: first.collect(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(EVENT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}\n… and more", text.split_at(end).0),
        None => text.to_owned(),
    }
}
