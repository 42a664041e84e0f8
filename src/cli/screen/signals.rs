//! Ctrl-C, SIGTERM and SIGHUP: the first stops cleanly, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::EXIT_INTERRUPTED;
use crate::cli::screen::output::{Format, Output};
use crate::observe::Progress;

/// Cancels the token at the first signal and ends the program at the second.
/// `lift` is the command that lifts a fence.
pub(in crate::cli) fn cancel_on_signal(
    token: CancellationToken,
    progress: watch::Receiver<Progress>,
    lift: String,
) {
    // As under `nohup`. Asked before tokio takes the signal over.
    let is_hang_up_ignored = is_hang_up_ignored();
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
                _ = hang_up.recv(), if !is_hang_up_ignored => {}
            }
            if !first {
                if progress.borrow().fenced {
                    Output::new(Format::Text)
                        .note(&format!("The event store refuses events. To lift the fence: {lift}"));
                }
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
            first = false;
            Output::new(Format::Text).note("stopping after the batches at work; again to stop at once");
            token.cancel();
        }
    });
}

/// Waits for the first signal that ends a program which has nothing to finish.
pub(in crate::cli) async fn stopped() {
    let is_hang_up_ignored = is_hang_up_ignored();
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv(), if !is_hang_up_ignored => {}
    }
}

/// Whether whoever started the program made it ignore SIGHUP, as far as the system tells (proc(5)).
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1, SIGHUP.
    mask.is_some_and(|mask| mask & 1 == 1)
}
