//! What a verb says that only announced what it would do.

use statefold_projections::Registry;

use crate::cli::command::Command;
use crate::cli::screen::output::Output;
use crate::config::Settings;
use crate::error::Result;
use crate::operator::at_work;

/// Says that nothing was changed, and the command that does it: now, or once whoever is at work is done.
pub(super) async fn announced(
    command: &Command,
    settings: &Settings,
    registry: &Registry,
    output: &Output,
) -> Result<()> {
    match at_work(settings, registry).await? {
        None => output.nothing_changed(command),
        Some(holder) => output.note(&format!(
            "Nothing was changed. Another statefold is at work: {holder}.\nOnce it is done: {}",
            command.again()
        )),
    }
    Ok(())
}
