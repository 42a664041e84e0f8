//! Trimming of strings.

use bson::Bson;

use crate::declarative::function::{Function, Takes};
use crate::declarative::value::{Args, Outcome};

pub(super) const TABLE: [Function; 3] = [
    Function { name: "$trim", takes: TAKES, call: |args| trim(args, true, true) },
    Function { name: "$ltrim", takes: TAKES, call: |args| trim(args, true, false) },
    Function { name: "$rtrim", takes: TAKES, call: |args| trim(args, false, true) },
];

const TAKES: Takes = Takes::Named(&["input"], &["chars"]);

/// What the server takes for white space.
fn is_space(letter: char) -> bool {
    let blank = ['\0', '\t', '\n', '\u{b}', '\u{c}', '\r', ' ', '\u{a0}', '\u{1680}'];
    blank.contains(&letter) || ('\u{2000}'..='\u{200a}').contains(&letter)
}

fn trim(args: &Args<'_>, at_start: bool, at_end: bool) -> Outcome {
    if args.is_nullish(0) {
        return Ok(Some(Bson::Null));
    }
    let mut text = args.text(0)?;
    if args.is_given(1) && args.is_nullish(1) {
        return Ok(Some(Bson::Null));
    }
    let letters: Option<Vec<char>> =
        if args.is_given(1) { Some(args.text(1)?.chars().collect()) } else { None };
    let is_cut =
        |letter: char| letters.as_ref().map_or_else(|| is_space(letter), |own| own.contains(&letter));
    if at_start {
        text = text.trim_start_matches(is_cut);
    }
    if at_end {
        text = text.trim_end_matches(is_cut);
    }
    Ok(Some(Bson::String(text.to_owned())))
}
