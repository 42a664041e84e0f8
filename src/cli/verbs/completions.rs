//! `statefold completions`

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::cli::exit::Failed;
use crate::cli::screen::output::Output;

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(in crate::cli) fn run(args: &CompletionsArgs, output: &Output) -> Result<u8, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
    Ok(0)
}
