//! `statefold completions`

use clap::{Args, CommandFactory};

use crate::cli::args::Cli;
use crate::cli::exit::Failed;
use crate::cli::output::Output;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<u8, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
    Ok(0)
}
