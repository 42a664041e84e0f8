//! `statefold serve`

use clap::Args;
use statefold_projections::Registry;
use tokio::sync::watch;

use crate::cli::args::{Connection, ListenArgs};
use crate::cli::command::{Command, VerbName};
use crate::cli::screen::metrics::{Served, listen};
use crate::cli::screen::output::Output;
use crate::cli::screen::signals;
use crate::cli::settings::{Loaded, Raw, load};
use crate::error::Result;
use crate::observe::{Progress, Recorder};

/// Where it listens, if nothing is said.
const ADDRESS: &str = "127.0.0.1:8080";

#[derive(Debug, Args)]
#[command(mut_arg("listen", |listen| listen.help("Where to serve [default: 127.0.0.1:8080]")))]
pub(in crate::cli) struct ServeArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    #[command(flatten)]
    pub(in crate::cli) listen: ListenArgs,
}

impl ServeArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Serve, &self.connection)
    }
}

pub(in crate::cli) async fn run(
    args: &ServeArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let raw = Raw { listen: Some(&args.listen), ..Raw::default() };
    let Loaded { settings, listen: address } = load(&args.connection, &raw)?;
    let (address, token) = (address.unwrap_or_else(|| ADDRESS.to_owned()), args.listen.page.token());
    let served = Served::new(address, token, &settings, registry, command);
    let (sender, health) = watch::channel(Progress::default());
    Recorder::ready(&sender);
    // Signals are watched before it is said that the page is there.
    let mut stopped = std::pin::pin!(signals::stopped());
    if futures::poll!(&mut stopped).is_ready() {
        return Ok(0);
    }
    let server = listen(served, health, output).await?;
    // Whoever watches now is cut off: there is nothing to finish.
    tokio::select! {
        () = stopped => Ok(0),
        _ = server => Ok(crate::cli::exit::EXIT_FAILURE),
    }
}
