//! `statefold history`

use clap::Args;
use serde_json::Value;

use crate::cli::args::Connection;
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{number, or_dash, table};
use crate::cli::settings::{Raw, load};
use crate::error::Result;
use crate::operator::history;
use crate::store::HistoryEntry;

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Projections, by name without case [default: everything]
    projections: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Show at most so many, 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
}

impl HistoryArgs {
    /// The command as typed, without its arguments.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::History, &self.connection)
    }
}

pub(in crate::cli) async fn run(args: &HistoryArgs, output: &Output) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    let names = &args.projections;
    // What is kept is bounded: all of it is read where only some is wanted.
    let mut entries = history(&settings, if names.is_empty() { args.limit } else { 0 }).await?;
    entries.retain(|entry| names.is_empty() || names.iter().any(|name| is_about(entry, name)));
    if let (Ok(limit), true) = (usize::try_from(args.limit), args.limit > 0) {
        entries.truncate(limit);
    }
    output.result(&entries, |entries| text(entries, names));
    Ok(0)
}

fn is_about(entry: &HistoryEntry, projection: &str) -> bool {
    entry.projection.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(projection))
}

fn text(entries: &[HistoryEntry], names: &[String]) -> String {
    if entries.is_empty() {
        return match names {
            [] => {
                "Nothing is recorded yet: here stands who built, cut over, rolled back and so on, and when."
                    .to_owned()
            }
            names => format!("Nothing is recorded of {}.", names.join(", ")),
        };
    }
    let header = ["when", "what", "projection", "generation", "who", "details"];
    let cells = entries.iter().map(|entry| {
        [
            when(&entry.at),
            entry.what.replace('_', " "),
            or_dash(entry.projection.as_ref()),
            or_dash(entry.generation),
            who(entry),
            details(entry),
        ]
    });
    table(header, cells)
}

/// A time to the second.
fn when(at: &str) -> String {
    let (date, time) = at.split_once('T').unwrap_or((at, ""));
    let seconds = time.split(['.', 'Z']).next().unwrap_or_default();
    format!("{date} {seconds}Z")
}

fn who(entry: &HistoryEntry) -> String {
    let pid = entry.who.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    format!("{}@{}{pid}", entry.who.user, entry.who.host)
}

/// Details that a person wants to know first, with the words before and after each; JSON has all.
const SHOWN: [(&str, &str, &str); 22] = [
    ("verdict", "", ""),
    ("snapshots", "", " snapshots"),
    ("missing", "", " missing"),
    ("extra", "", " too many"),
    ("differing", "", " differ"),
    ("stale", "", " stale"),
    ("suspected", "", " more seem to differ"),
    ("failed_streams", "", " failed streams"),
    ("verified", "verified: ", ""),
    ("from_generation", "from ", ""),
    ("mode", "mode ", ""),
    ("fence_ms", "fenced for ", " ms"),
    ("drain_ms", "drained in ", " ms"),
    ("state", "while ", ""),
    ("reason", "", ""),
    ("holder", "held ", ""),
    ("raised_by", "raised by ", ""),
    ("collections", "", ""),
    ("dropped", "", ""),
    ("postponed", "postponed", ""),
    ("interrupted", "after an interruption", ""),
    ("forced", "forced", ""),
];

fn details(entry: &HistoryEntry) -> String {
    let shown = |(name, before, after): &(&str, &str, &str)| {
        let text = match entry.details.get(*name)? {
            Value::Bool(is_so) => return is_so.then(|| (*before).to_owned()),
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Value::Number(number) if number.as_f64() == Some(0.0) && *name != "snapshots" => return None,
            Value::Number(count) => count.as_u64().map_or_else(|| count.to_string(), number),
            _ => return None,
        };
        Some(format!("{before}{text}{after}"))
    };
    let text = SHOWN.iter().filter_map(shown).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}
