//! `statefold projections check`

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use statefold_projections::Projection;
use statefold_projections::declarative::{Definitions, Outcome};

use crate::cli::args::Connection;
use crate::cli::definitions::read_each;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{count, number};
use crate::cli::settings::{Raw, file_of, load};
use crate::error::Result;
use crate::operator::{FoldedSample, SampledTypes, sample_types};

/// Streams that can't be folded, and are shown.
const EXAMPLES: usize = 3;

/// What was found.
#[derive(Debug, Serialize)]
struct Checked {
    /// Number of commits in the sample; none without a server.
    sampled_commits: Option<u64>,
    projections: Vec<CheckedProjection>,
}

#[derive(Debug, Serialize)]
struct CheckedProjection {
    projection: String,
    version: u32,
    tests: usize,
    failed_tests: usize,
    /// Number of sampled events of types that the file has.
    events: Option<u64>,
    /// Types that the sample has and the file hasn't, the most frequent first.
    not_mentioned: Vec<(String, u64)>,
    /// Types that the file has and the sample hasn't.
    not_sampled: Vec<String>,
    /// Streams of the sample that were folded, and those that can't be.
    folded: Option<FoldedSample>,
}

pub(super) async fn run(connection: &Connection, files: &[PathBuf], output: &Output) -> Result<u8> {
    let has_server = connection.uri.is_some() || file_of(connection)?.uri.is_some();
    let mut all = Vec::new();
    for definitions in read_each(files)? {
        let sampled = match has_server {
            true => {
                let settings = load(connection, &Raw::default())?.settings;
                Some(sample_types(&settings, &definitions.registry()?).await?)
            }
            false => None,
        };
        all.push(checked(&definitions, sampled.as_ref()));
    }
    output.result(&all, |all| all.iter().map(text).collect::<Vec<_>>().join("\n"));
    if !has_server {
        output.note(
            "No server was given, so nothing was held against an event store: add --uri and --database.",
        );
    }
    let mut projections = all.iter().flat_map(|checked| &checked.projections);
    let is_wrong = |one: &CheckedProjection| {
        one.failed_tests > 0 || one.folded.as_ref().is_some_and(|folded| !folded.failed.is_empty())
    };
    Ok(u8::from(projections.any(is_wrong)))
}

fn checked(definitions: &Definitions, sampled: Option<&SampledTypes>) -> Checked {
    let projections = definitions.projections().map(|declared| {
        let spec = declared.spec();
        let mentioned: BTreeSet<&str> = declared.event_types().collect();
        let found = sampled.and_then(|sampled| sampled.by_projection.get(spec.name()));
        let mut not_mentioned: Vec<(String, u64)> = found.map_or_else(Vec::new, |types| {
            let unknown = types.iter().filter(|(name, _)| !declared.mentions(name));
            unknown.map(|(name, events)| (name.clone(), *events)).collect()
        });
        not_mentioned.sort_by_key(|(name, events)| (std::cmp::Reverse(*events), name.clone()));
        let is_sampled = |name: &str| {
            found.is_some_and(|types| types.keys().any(|sampled| sampled.eq_ignore_ascii_case(name)))
        };
        let not_sampled = mentioned.iter().filter(|name| found.is_some() && !is_sampled(name));
        let tests = definitions.run_examples().filter(|(projection, ..)| *projection == spec.name());
        let (right, wrong): (Vec<_>, Vec<_>) = tests.partition(|(.., outcome)| *outcome == Outcome::Right);
        CheckedProjection {
            projection: spec.name().to_owned(),
            version: spec.version(),
            tests: right.len() + wrong.len(),
            failed_tests: wrong.len(),
            events: found.map(|types| types.values().sum::<u64>()),
            not_sampled: not_sampled.map(|name| (*name).to_owned()).collect(),
            not_mentioned,
            folded: sampled.and_then(|sampled| sampled.folded.get(spec.name()).cloned()),
        }
    });
    Checked { projections: projections.collect(), sampled_commits: sampled.map(|sampled| sampled.commits) }
}

fn text(checked: &Checked) -> String {
    let mut lines = Vec::new();
    if let Some(commits) = checked.sampled_commits {
        lines.push(format!("Held against {} of the event store:", count(commits, "commit", "commits")));
    }
    if checked.sampled_commits == Some(0) {
        lines.push(
            "  there is none: are `database`, and `collection` and `fields` of the layout, right?".to_owned(),
        );
    }
    for one in &checked.projections {
        let tests = count(one.tests as u64, "test", "tests");
        lines.push(format!("{} (version {}, {tests}): well formed", one.projection, one.version));
        if one.failed_tests > 0 {
            let failed = count(one.failed_tests as u64, "test fails", "tests fail");
            lines.push(format!("  {failed}: statefold projections test says how"));
        }
        if let Some(folded) = one.folded.as_ref().filter(|folded| !folded.failed.is_empty()) {
            let streams = count(folded.streams, "stream", "streams");
            lines.push(format!("  {} of {streams} can't be folded:", folded.failed.len()));
            for (stream, reason) in folded.failed.iter().take(EXAMPLES) {
                lines.push(format!("    {stream}: {reason}"));
            }
        }
        if let Some(0) = one.events.filter(|_| checked.sampled_commits != Some(0)) {
            lines.push("  no event of its streams is in the sample: is the prefix right?".to_owned());
        }
        for (name, events) in &one.not_mentioned {
            let times = count(*events, "time", "times");
            lines.push(format!("  {name}: {times} in the sample, and not in the file: it is left alone"));
        }
        if !one.not_sampled.is_empty() && one.events.is_some_and(|events| events > 0) {
            lines.push(format!("  in the file, and not in the sample: {}", one.not_sampled.join(", ")));
        }
        if one.not_mentioned.is_empty() && one.events.is_some_and(|events| events > 0) {
            let events = number(one.events.unwrap_or(0));
            lines.push(format!("  all types of the {events} events in its streams are in the file"));
        }
    }
    lines.join("\n")
}
