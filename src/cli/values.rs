//! The values that arguments may have, for completions.

use clap::builder::PossibleValuesParser;
use statefold_projections::Registry;

/// Words that complete the value of a flag, by the name of its argument.
const VALUES: [(&str, &[&str]); 4] = [
    ("mode", &["pointer", "view", "rename"]),
    ("strategy", &["natural", "spill", "stream", "exchange"]),
    ("fence", &["none", "short"]),
    ("verify", &["proof", "full", "heads"]),
];
/// Arguments that name a projection.
const PROJECTIONS: [&str; 2] = ["projections", "projection"];

/// The program with the values that its arguments may have, as far as they are known: some are only parsed
/// when they are used, and the projections are those of the registry.
pub(super) fn with_values(program: clap::Command, registry: &Registry) -> clap::Command {
    let projections: Vec<String> =
        registry.projections().iter().map(|projection| projection.spec().name().to_owned()).collect();
    with_names(program, &projections)
}

fn with_names(program: clap::Command, projections: &[String]) -> clap::Command {
    let names = program.get_arguments().map(|argument| argument.get_id().to_string()).collect::<Vec<_>>();
    let program = names.into_iter().fold(program, |program, name| {
        let values: Vec<String> = match VALUES.iter().find(|(known, _)| *known == name) {
            Some((_, values)) => values.iter().map(|value| (*value).to_owned()).collect(),
            None if PROJECTIONS.contains(&name.as_str()) => projections.to_vec(),
            None => return program,
        };
        program.mut_arg(name, |argument| argument.value_parser(PossibleValuesParser::new(values)))
    });
    program.mut_subcommands(|verb| with_names(verb, projections))
}
