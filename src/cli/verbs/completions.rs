//! `statefold completions`

use clap::Args;
use statefold_projections::Registry;

use crate::cli::command::{Command, VerbName};
use crate::cli::screen::output::Output;
use crate::cli::values::with_values;

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

/// Prints the script that completes the words of a program with these projections.
pub(in crate::cli) fn run(
    args: &CompletionsArgs,
    program: clap::Command,
    registry: &Registry,
    output: &Output,
) {
    let mut program = with_values(program, registry);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
}
