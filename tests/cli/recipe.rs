//! The recipes of the README: what is typed in them.

/// The lines that are typed in the section with this heading.
pub(crate) fn lines(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
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
