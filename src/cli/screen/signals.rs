//! Ctrl-C, SIGTERM and SIGHUP: the first stops cleanly, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::EXIT_INTERRUPTED;
use crate::cli::screen::output::{Format, Output};
use crate::observe::Progress;

/// Cancels the token at the first signal and ends the program at the second.
pub(in crate::cli) fn cancel_on_signal(token: CancellationToken, progress: watch::Receiver<Progress>) {
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        else {
            tracing::warn!("signals can't be watched: Ctrl-C ends the program at once");
            return;
        };
        let mut first = true;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                // The terminal was closed.
                _ = hang_up.recv() => {}
            }
            if !first {
                if progress.borrow().fenced {
                    Output::new(Format::Text)
                        .note("The event store refuses events. To lift the fence: statefold read-only off");
                }
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
            first = false;
            Output::new(Format::Text).note("stopping after the batches at work; again to stop at once");
            token.cancel();
        }
    });
}
