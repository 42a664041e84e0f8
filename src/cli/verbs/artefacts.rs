//! `statefold artefacts`: what a package has beside the program, made from its flags.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use statefold_projections::Registry;

use crate::cli::values::with_values;
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub(in crate::cli) struct ArtefactsArgs {
    /// The folder; it is made if it isn't there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes `man/man1/*.1` and `completions/*` below the folder.
pub(in crate::cli) fn run(args: &ArtefactsArgs, program: clap::Command, registry: &Registry) -> Result<u8> {
    let doing = || format!("writing to {}", args.folder.display());
    write(&args.folder, program, registry).map_err(|source| Error::Io { doing: doing(), source })?;
    Ok(0)
}

fn write(folder: &Path, program: clap::Command, registry: &Registry) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man/man1"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    for shell in Shell::value_variants() {
        let mut program = with_values(program.clone(), registry);
        clap_complete::generate_to(*shell, &mut program, "statefold", &completions)?;
    }
    // Of `help` there would be a page for each verb once more.
    clap_mangen::generate_to(without_help(program), &pages)
}

fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
