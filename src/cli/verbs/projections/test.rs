//! `statefold projections test`

use std::path::PathBuf;

use serde::Serialize;
use statefold_projections::declarative::Outcome;

use crate::cli::definitions::read_each;
use crate::cli::exit::EXIT_FAILURE;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::count;
use crate::error::Result;

/// A test that was run.
#[derive(Debug, Serialize)]
struct Ran {
    projection: String,
    test: String,
    line: usize,
    /// What came out instead; none if it passed.
    wrong: Option<String>,
}

pub(super) fn run(files: &[PathBuf], output: &Output) -> Result<u8> {
    let mut ran = Vec::new();
    // Each by itself: they need not have one layout.
    for definitions in read_each(files)? {
        ran.extend(definitions.run_examples().map(|(projection, test, outcome)| Ran {
            projection: projection.to_owned(),
            test: test.name.clone(),
            line: test.line,
            wrong: match outcome {
                Outcome::Right => None,
                Outcome::Wrong(what) => Some(what),
            },
        }));
    }
    let failed = ran.iter().filter(|one| one.wrong.is_some()).count();
    output.result(&ran, |ran| {
        let line = |one: &Ran| match &one.wrong {
            None => format!("ok      {}: {}", one.projection, one.test),
            Some(what) => {
                format!("FAILED  {}: {} (line {})\n        {what}", one.projection, one.test, one.line)
            }
        };
        let mut lines: Vec<String> = ran.iter().map(line).collect();
        let tests = count(ran.len() as u64, "test", "tests");
        lines.push(match failed {
            0 if ran.is_empty() => {
                "There are no tests: add [[projection.test]] with `given` and `then`.".to_owned()
            }
            0 => format!("{tests} passed."),
            failed => format!("{failed} of {tests} failed."),
        });
        lines.join("\n")
    });
    Ok(if failed == 0 { 0 } else { EXIT_FAILURE })
}
