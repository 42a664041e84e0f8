//! `statefold projections check|try|test|schema`

mod attempt;
mod check;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use statefold_projections::declarative::SCHEMA;

use crate::cli::args::Connection;
use crate::cli::command::{Command, VerbName, quoted};
use crate::cli::screen::output::Output;
use crate::error::Result;

#[derive(Debug, Args)]
pub(in crate::cli) struct ProjectionsArgs {
    #[command(subcommand)]
    verb: ProjectionsVerb,
}

#[derive(Debug, Subcommand)]
enum ProjectionsVerb {
    /// Check definition files, and hold them against a sample of the event store, if a server is given
    ///
    /// Says which types of events the store has that a file doesn't mention, and the other way round. Exits
    /// with 2 if a file is wrong.
    Check {
        #[command(flatten)]
        connection: Connection,
        /// Files with projections, TOML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show what each event of a stream does to its state, and the snapshots in the end
    Try {
        #[command(flatten)]
        connection: Connection,
        /// File with projections, TOML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Name of the stream
        #[arg(long, value_name = "NAME")]
        stream: String,
        /// Commits to read, at most [default: all]
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        limit: u32,
    },
    /// Run the tests in definition files: given these events, then these snapshots
    ///
    /// Needs no server. Exits with 1 if a test fails, with 2 if a file is wrong.
    Test {
        /// Files with projections, TOML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of definition files, for editors
    Schema,
}

impl ProjectionsArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        let shown = |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect();
        let (verb, connection, files): (_, Option<&Connection>, Vec<String>) = match &self.verb {
            ProjectionsVerb::Check { connection, files } => {
                (VerbName::ProjectionsCheck, Some(connection), shown(files))
            }
            ProjectionsVerb::Try { connection, file, stream, .. } => {
                let words = vec![file.display().to_string(), format!("--stream {}", quoted(stream))];
                (VerbName::ProjectionsTry, Some(connection), words)
            }
            ProjectionsVerb::Test { files } => (VerbName::ProjectionsTest, None, shown(files)),
            ProjectionsVerb::Schema => (VerbName::ProjectionsSchema, None, Vec::new()),
        };
        match connection {
            Some(connection) => Command::new(verb, connection).arguments(files),
            None => Command::without_database(verb).arguments(files),
        }
    }
}

pub(in crate::cli) async fn run(args: &ProjectionsArgs, output: &Output) -> Result<u8> {
    match &args.verb {
        ProjectionsVerb::Check { connection, files } => check::run(connection, files, output).await,
        ProjectionsVerb::Try { connection, file, stream, limit } => {
            attempt::run(connection, file, stream, *limit, output).await
        }
        ProjectionsVerb::Test { files } => test::run(files, output),
        ProjectionsVerb::Schema => {
            output.text(SCHEMA);
            Ok(0)
        }
    }
}
