//! Ctrl-C and SIGTERM: the first stops cleanly, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::exit::EXIT_INTERRUPTED;
use crate::cli::screen::output::{Format, Output};

/// Cancels the token at the first signal and ends the program at the second.
pub(in crate::cli) fn cancel_on_signal(token: CancellationToken) {
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals can't be watched: Ctrl-C ends the program at once");
            return;
        };
        let mut first = true;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
            first = false;
            Output::new(Format::Text).note("stopping after the batches at work; again to stop at once");
            token.cancel();
        }
    });
}
