//! The house rules that a compiler doesn't check: sizes, what each room may use, what each file says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;
const MAIN_LINES_MAX: usize = 25;
/// Files that may be longer, each with its reason. Empty is how it should be.
const LONGER: [(&str, &str); 0] = [];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, as (path from the root, text).
fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn sources() -> Vec<(String, String)> {
    [files("src"), files("projections/src")].concat()
}

/// The lines of code that use one of these names, as `file:line`.
fn uses(files: &[(String, String)], names: &[&str]) -> Vec<String> {
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    files
        .iter()
        .flat_map(|(file, text)| {
            let lines = text.lines().enumerate().filter(|(_, line)| is_code(line));
            let hits = lines.filter(|(_, line)| names.iter().any(|name| mentions(line, name)));
            hits.map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim())).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a line has the name, not as the tail of a longer one.
fn mentions(line: &str, name: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(name).any(|(at, _)| !line.split_at(at).0.ends_with(is_word))
}

fn outside(folders: &[&str]) -> Vec<(String, String)> {
    sources().into_iter().filter(|(file, _)| !folders.iter().any(|folder| file.starts_with(folder))).collect()
}

fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short_and_say_what_lives_in_them() {
    let all = [sources(), files("tests"), files("examples"), files("benches")].concat();
    let long = all.iter().filter(|(file, text)| {
        text.lines().count() > LINES_MAX && !LONGER.iter().any(|(longer, _)| longer == file)
    });
    none(
        long.map(|(file, text)| format!("{file}: {} lines", text.lines().count())).collect(),
        "files over 400 lines",
    );
    let silent = all.iter().filter(|(_, text)| !text.starts_with("//!"));
    none(silent.map(|(file, _)| file.clone()).collect(), "files without //! at the top");
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= MAIN_LINES_MAX);
}

#[test]
fn only_the_store_talks_to_mongodb() {
    none(uses(&outside(&["src/store"]), &["mongodb::"]), "the driver outside src/store");
}

#[test]
fn the_web_and_the_command_line_stay_in_their_rooms() {
    none(uses(&outside(&["src/http"]), &["axum::", "maud::"]), "axum outside src/http");
    let names = ["clap::", "clap_complete::", "indicatif::", "comfy_table::", "tracing_subscriber::"];
    none(uses(&outside(&["src/cli"]), &names), "the command line's crates outside src/cli");
}

#[test]
fn pure_rooms_have_no_clock_no_io_and_no_tasks() {
    let pure =
        ["src/plan", "src/fold", "src/lifecycle", "src/fixture", "projections/src"].map(files).concat();
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
    none(uses(&pure, &names), "time, IO or tasks in a pure room");
}

#[test]
fn rooms_use_only_what_is_below_them() {
    let above = [
        (
            "src/plan",
            vec!["fold", "lifecycle", "pipeline", "store", "config", "observe", "rebuild", "cli", "http"],
        ),
        (
            "src/lifecycle",
            vec!["fold", "plan", "pipeline", "store", "config", "observe", "rebuild", "cli", "http"],
        ),
        ("src/fold", vec!["plan", "pipeline", "store", "config", "observe", "rebuild", "cli", "http"]),
        (
            "src/fixture",
            vec!["plan", "fold", "pipeline", "store", "config", "observe", "rebuild", "cli", "http"],
        ),
        ("src/observe", vec!["plan", "lifecycle", "pipeline", "store", "config", "rebuild", "cli", "http"]),
        ("src/pipeline", vec!["store", "config", "rebuild", "cli", "http"]),
        ("src/config", vec!["fold", "pipeline", "store", "observe", "rebuild", "cli", "http"]),
        ("src/store", vec!["leader", "rebuild", "migrate", "cli", "http", "status", "preview", "abort"]),
        ("src/leader", vec!["fold", "plan", "pipeline", "rebuild", "migrate", "cli", "http"]),
        ("src/rebuild", vec!["migrate", "cli", "http"]),
        ("src/migrate", vec!["cli", "http"]),
        ("src/http", vec!["plan", "fold", "lifecycle", "pipeline", "store", "config", "rebuild", "cli"]),
    ];
    for (room, forbidden) in above {
        let names: Vec<String> = forbidden.iter().map(|other| format!("crate::{other}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        none(uses(&files(room), &names), room);
    }
}

#[test]
fn the_words_of_a_name_are_found_whole() {
    assert!(mentions("use mongodb::Client;", "mongodb::"));
    assert!(!mentions("use my_mongodb::Client;", "mongodb::"));
    assert!(mentions("    (crate::store)", "crate::store"));
}
