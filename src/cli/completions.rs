//! `statefold completions`

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::exit::Failed;
use super::output::Output;

pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<u8, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "statefold", &mut script);
    output.text(&String::from_utf8_lossy(&script));
    Ok(0)
}
