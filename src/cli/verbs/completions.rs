//! `statefold completions`

use clap::Args;
use clap::builder::PossibleValuesParser;
use statefold_projections::Registry;

use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl CompletionsArgs {
    /// The command as typed.
    pub(in crate::cli) fn command() -> Command {
        Command::without_database(VerbName::Completions)
    }
}

/// Words that complete the value of a flag, by the name of its argument.
const VALUES: [(&str, &[&str]); 4] = [
    ("mode", &["pointer", "view", "rename"]),
    ("strategy", &["natural", "spill", "stream"]),
    ("fence", &["none", "short"]),
    ("verify", &["proof", "full", "heads"]),
];
/// Arguments that name a projection.
const PROJECTIONS: [&str; 2] = ["projections", "projection"];

/// The program with the values that its arguments may have, as far as they are known.
fn with_values(program: clap::Command, projections: &[String]) -> clap::Command {
    let names = program.get_arguments().map(|argument| argument.get_id().to_string()).collect::<Vec<_>>();
    let program = names.into_iter().fold(program, |program, name| {
        let values: Vec<String> = match VALUES.iter().find(|(known, _)| *known == name) {
            Some((_, values)) => values.iter().map(|value| (*value).to_owned()).collect(),
            None if PROJECTIONS.contains(&name.as_str()) => projections.to_vec(),
            None => return program,
        };
        program.mut_arg(name, |argument| argument.value_parser(PossibleValuesParser::new(values)))
    });
    program.mut_subcommands(|verb| with_values(verb, projections))
}

/// Prints the script that completes the words of a program with these projections.
pub(in crate::cli) fn run(
    args: &CompletionsArgs,
    program: clap::Command,
    registry: &Registry,
    output: &Output,
) {
    let projections: Vec<String> =
        registry.projections().iter().map(|projection| projection.spec().name().to_owned()).collect();
    let mut program = with_values(program, &projections);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
}
