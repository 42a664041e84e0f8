//! Sizes: a file is read in one sitting, a line without turning one's head.

use std::fs;

use crate::files::{Files, made_up, none, root, rust};
use crate::tokens::tokens;

const LINES_MAX: usize = 400;
const MAIN_LINES_MAX: usize = 25;
const COLUMNS_MAX: usize = 110;
/// Files that may be longer, each with its reason. Empty is how it should be.
const LONGER: [(&str, &str); 0] = [];

fn long(files: &Files) -> Vec<String> {
    let lines = files.iter().map(|(file, text)| (file, text.lines().count()));
    let long =
        lines.filter(|(file, count)| *count > LINES_MAX && !LONGER.iter().any(|(longer, _)| longer == file));
    long.map(|(file, count)| format!("{file}: {count} lines")).collect()
}

fn wide(files: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in files {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line, line.chars().count()));
        let wide = lines.filter(|(_, line, columns)| *columns > COLUMNS_MAX && !is_one_text(line));
        found.extend(wide.map(|(at, _, columns)| format!("{file}:{at}: {columns} columns")));
    }
    found
}

/// Whether a line is nothing but one literal, or a link in a comment: it can't be broken where one reads it.
fn is_one_text(line: &str) -> bool {
    let tokens = tokens(line);
    let literals = tokens.iter().filter(|token| token.text.ends_with(['"', '#']) && token.text.len() > 1);
    let is_literal = literals.count() == 1 && tokens.iter().all(|token| !token.is_name());
    let is_link = line.trim_start().starts_with("//") && line.split_whitespace().count() == 2;
    is_literal || is_link
}

fn all() -> Files {
    rust(&["src", "projections", "tests", "examples", "benches"])
}

#[test]
fn files_are_short_and_say_what_lives_in_them() {
    none(&long(&all()), "files over 400 lines");
    let all = all();
    let silent = all.iter().filter(|(_, text)| !text.starts_with("//!"));
    none(&silent.map(|(file, _)| file.clone()).collect::<Vec<_>>(), "files without //! at the top");
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= MAIN_LINES_MAX, "src/main.rs has more than {MAIN_LINES_MAX} lines");
}

#[test]
fn lines_are_at_most_110_columns_wide() {
    none(&wide(&all()), "lines over 110 columns");
}

#[test]
fn a_long_file_and_a_wide_line_are_found() {
    let (lines, columns) = ("\n".repeat(401), format!("\n// a {}", "ä".repeat(106)));
    let files = made_up(&[("long.rs", &lines), ("wide.rs", &columns)]);
    assert_eq!(long(&files), ["long.rs: 401 lines"]);
    assert_eq!(wide(&files), ["wide.rs:2: 111 columns"]);
}

#[test]
fn one_literal_or_link_may_be_wide() {
    let long = "x".repeat(120);
    let text = format!("    \"a {long}\",\n//! <https://{long}>\n    say(\"a {long}\");");
    assert_eq!(wide(&made_up(&[("a.rs", &text)])), ["a.rs:3: 134 columns"]);
}
