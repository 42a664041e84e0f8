//! Names and words that stay in their rooms, and a word that is gone.

use crate::files::{Files, below, made_up, none, rust};

/// The lines of code that use one of these names, as `file:line`.
fn uses(files: &Files, names: &[&str]) -> Vec<String> {
    uses_that(files, |line| names.iter().any(|name| mentions(line, name)))
}

/// The lines of code of which this is true, as `file:line`.
fn uses_that(files: &Files, is_hit: impl Fn(&str) -> bool) -> Vec<String> {
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    let mut found = Vec::new();
    for (file, text) in files {
        let lines = text.lines().enumerate().filter(|(_, line)| is_code(line));
        let hits = lines.filter(|(_, line)| is_hit(line));
        found.extend(hits.map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim())));
    }
    found
}

/// Whether a line has the name, not as the tail of a longer one.
fn mentions(line: &str, name: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(name).any(|(at, _)| !line.split_at(at).0.ends_with(is_word))
}

/// All sources that are not in a folder.
fn outside(folder: &str) -> Files {
    let mut files = rust(&["src", "projections/src"]);
    files.retain(|file, _| !file.starts_with(&format!("{folder}/")));
    files
}

#[test]
fn only_the_store_talks_to_mongodb() {
    none(&uses(&outside("src/store"), &["mongodb::"]), "the driver outside src/store");
}

#[test]
fn the_web_and_the_command_line_stay_in_their_rooms() {
    let mut beside = outside("src/http");
    beside.retain(|file, _| !file.starts_with("src/page/"));
    none(&uses(&beside, &["axum::", "maud::", "plotters::"]), "axum outside src/http and src/page");
    let names = ["clap::", "clap_complete::", "indicatif::", "comfy_table::", "tracing_subscriber::"];
    none(&uses(&outside("src/cli"), &names), "the command line's crates outside src/cli");
}

/// Verbs of the command line, as a message of the library must not name them.
const VERBS: [&str; 12] = [
    "rebuild",
    "cutover",
    "rollback",
    "abort",
    "adopt",
    "status",
    "verify",
    "follow",
    "cleanup",
    "lock",
    "errors",
    "read-only",
];

/// The lines of code with a command or a flag of the command line in them, as `file:line`.
fn commands(files: &Files) -> Vec<String> {
    let commands: Vec<String> = VERBS.iter().map(|verb| format!("statefold {verb}")).collect();
    let names: Vec<&str> = commands.iter().map(String::as_str).collect();
    let mut found = uses(files, &names);
    // The suffix of a stream's name isn't a flag.
    let without_suffix = files.iter().map(|(file, text)| (file.clone(), text.replace("--deleted", "")));
    found.extend(uses_that(&without_suffix.collect(), |line| {
        let after = |(at, dashes): (usize, &str)| line[at + dashes.len()..].chars().next();
        line.match_indices("--").any(|hit| after(hit).is_some_and(|char| char.is_ascii_lowercase()))
    }));
    found
}

#[test]
fn the_library_speaks_no_command_line() {
    let mut files = outside("src/cli");
    files.retain(|file, _| file.starts_with("src/"));
    none(
        &commands(&files),
        "a command or a flag outside src/cli: give a value, src/cli has the words for it",
    );
}

#[test]
fn a_command_and_a_flag_are_found_and_the_suffix_of_a_stream_is_not() {
    let text = "\"run statefold rebuild\"\n\"or --force\"\n\"x--deleted\"\n// --force\n\"a statefold\"";
    let found = commands(&made_up(&[("a.rs", text)]));
    assert_eq!(found, ["a.rs:1: \"run statefold rebuild\"", "a.rs:2: \"or --force\""]);
}

#[test]
fn pure_rooms_have_no_clock_no_io_and_no_tasks() {
    let pure = rust(&["src/plan", "src/fold", "src/lifecycle", "src/fixture", "projections/src"]);
    let names = [
        "tokio::",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "Instant::",
        "SystemTime",
        "async fn",
        "async move",
        "std::env",
        "rand::",
    ];
    none(&uses(&pure, &names), "time, IO or tasks in a pure room");
}

/// A stream that can't be folded is a failed stream; the older word is only in what is stored already.
const OLD_WORD: [&str; 2] = ["dead", "letter"];
/// Where the older word may stand, each with its reason.
const STORED: [(&str, &str); 2] = [
    ("Statefold_DeadLetters", "the name of a collection in databases that are in use"),
    ("#[serde(rename = \"DeadLetters\")]", "a field of the checkpoints in databases that are in use"),
];

/// The lines that begin the older word, in any case, its halves apart by blanks, `_` or `-`.
fn old_words(files: &Files) -> Vec<String> {
    let [first, second] = OLD_WORD;
    let mut found = Vec::new();
    for (file, text) in files {
        let without_stored = STORED.iter().fold(text.clone(), |text, (stored, _)| text.replace(stored, ""));
        let lower = without_stored.to_lowercase();
        let is_between = |char: char| char.is_whitespace() || "_-/!".contains(char);
        for (at, _) in lower.match_indices(first) {
            let (before, rest) = lower.split_at(at);
            let after = rest.strip_prefix(first).unwrap_or_default().trim_start_matches(is_between);
            if after.starts_with(second) {
                found.push(format!("{file}:{}", before.matches('\n').count() + 1));
            }
        }
    }
    found
}

#[test]
fn a_failed_stream_is_called_a_failed_stream() {
    let files = below(&["src", "projections", "docs", "README.md"], &["rs", "md", "toml"]);
    none(&old_words(&files), "\"dead letter\" is called \"failed stream\"");
}

#[test]
fn the_words_of_a_name_are_found_whole() {
    assert!(mentions("use mongodb::Client;", "mongodb::"));
    assert!(!mentions("use my_mongodb::Client;", "mongodb::"));
    assert!(mentions("    (crate::store)", "crate::store"));
}

#[test]
fn a_name_in_code_is_found_and_in_a_comment_is_not() {
    let files = made_up(&[("a.rs", "// mongodb::Client\nuse mongodb::Client;")]);
    assert_eq!(uses(&files, &["mongodb::"]), ["a.rs:2: use mongodb::Client;"]);
}

#[test]
fn the_old_word_is_found_in_each_spelling() {
    let text = "DeadLetter\ndead_letters\nDead letter\ndead-letter\n//! dead\n//! letter\n\
        `Statefold_DeadLetters`\n#[serde(rename = \"DeadLetters\")]\ndeadline of a letter";
    let found = old_words(&made_up(&[("a.rs", text)]));
    assert_eq!(found, ["a.rs:1", "a.rs:2", "a.rs:3", "a.rs:4", "a.rs:5"]);
}
