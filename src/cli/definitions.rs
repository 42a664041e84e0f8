//! Projections as data: the files that `--projections` names, or the settings file.

use std::path::{Path, PathBuf};

use clap::Args;
use statefold_projections::declarative::{Definitions, Format};

use crate::cli::args::Connection;
use crate::cli::command::quoted;
use crate::cli::settings::{DEFAULT_FILE, file_of};
use crate::error::{Error, Result};

/// Flags of the program that ships.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Projections as data")]
pub(super) struct DefinitionArgs {
    /// File with projections, instead of those of Squidex; may be given several times
    #[arg(
        long = "projections",
        global = true,
        value_name = "FILE",
        env = "STATEFOLD_PROJECTIONS",
        value_delimiter = ','
    )]
    definitions: Vec<PathBuf>,
}

impl DefinitionArgs {
    /// The flags as typed, for a hint: not those that come from the environment.
    pub(super) fn typed(&self) -> String {
        let names: Vec<String> = self.definitions.iter().map(|file| file.display().to_string()).collect();
        let is_environment = std::env::var("STATEFOLD_PROJECTIONS").is_ok_and(|set| set == names.join(","));
        if is_environment {
            return String::new();
        }
        names.iter().map(|name| format!(" --projections {}", quoted(name))).collect()
    }

    /// The projections of the files; `None` if there are no files.
    ///
    /// # Errors
    /// [`Error::Config`] with all that is wrong with them.
    pub(super) fn read(&self, connection: Option<&Connection>) -> Result<Option<Definitions>> {
        let files: Vec<PathBuf> =
            self.definitions.iter().filter(|file| !file.as_os_str().is_empty()).cloned().collect();
        let files = match connection {
            Some(connection) if files.is_empty() => named_in_settings(connection)?,
            _ => files,
        };
        if files.is_empty() { Ok(None) } else { read(&files).map(Some) }
    }
}

/// The files that the settings name, as paths from where the settings file is.
fn named_in_settings(connection: &Connection) -> Result<Vec<PathBuf>> {
    let file = connection.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    let folder = file.parent().unwrap_or(Path::new(""));
    // What is wrong with that file is said by whoever reads all of it.
    let named = file_of(connection).ok().and_then(|settings| settings.projections);
    Ok(named.unwrap_or_default().iter().map(|named| folder.join(named)).collect())
}

/// Reads files, which must have one layout.
///
/// # Errors
/// [`Error::Config`] with all that is wrong with them.
pub(super) fn read(files: &[PathBuf]) -> Result<Definitions> {
    let mut each = read_each(files)?.into_iter();
    let Some(mut all) = each.next() else { return Err(Error::Config(vec!["no file was given".to_owned()])) };
    for (read, file) in each.zip(files.iter().skip(1)) {
        all.join(read).map_err(|what| Error::Config(vec![format!("{}: {what}", file.display())]))?;
    }
    Ok(all)
}

/// Reads files: JSON if they are named so, else TOML.
///
/// # Errors
/// [`Error::Config`] with all that is wrong with them.
pub(super) fn read_each(files: &[PathBuf]) -> Result<Vec<Definitions>> {
    let (mut problems, mut all) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.display();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                problems.push(format!("{name}: it can't be read: {error}"));
                continue;
            }
        };
        let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let format = if is_json { Format::Json } else { Format::Toml };
        match Definitions::parse(&name.to_string(), &text, format) {
            Ok(read) => all.push(read),
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(Error::Config(problems)) }
}
