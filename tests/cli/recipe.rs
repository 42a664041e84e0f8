//! The recipes of the documentation: what is typed in them.

use std::path::Path;

/// The lines that are typed in the section with this heading, of a document named from the repository's root.
pub(crate) fn lines(document: &str, heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let typed = |line: &&str| !line.starts_with('#') && !line.is_empty();
    block.lines().filter(typed).map(str::to_owned).collect()
}

/// The words of a line, as a shell divides it.
pub(crate) fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    let words = quoted.flat_map(|(at, text)| match at % 2 {
        1 => vec![text.to_owned()],
        _ => text.split_whitespace().map(str::to_owned).collect(),
    });
    words.collect()
}
