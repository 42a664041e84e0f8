//! `statefold completions`

use clap::Args;

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

/// Prints the script that completes the words of a program.
pub(in crate::cli) fn run(args: &CompletionsArgs, mut program: clap::Command, output: &Output) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
}
