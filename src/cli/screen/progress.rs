//! Progress: a bar on a terminal, else one log line an interval.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::observe::{Phase, Progress};

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Runs something that writes to the terminal, while no bar is drawn.
pub(in crate::cli) fn around_bars<T>(write: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Progress on the terminal, until it is dropped.
pub(in crate::cli) struct Shown {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = BARS.get_or_init(MultiProgress::new).add(ProgressBar::new(1000));
    let style = ProgressStyle::with_template("{bar:30} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Some(bar)
}

/// Shows the progress of a rebuild.
pub(in crate::cli) fn show(mut progress: watch::Receiver<Progress>, interval: Duration) -> Shown {
    let bar = new_bar();
    let drawn = bar.clone();
    let task = tokio::spawn(async move {
        let pause = if drawn.is_some() { Duration::from_millis(100) } else { interval };
        let mut shown = String::new();
        loop {
            // A bar shows a change of phase at once, all else at the pace of the interval. Where there is no
            // bar, the log has a line for each phase.
            let (phase, has_bar) = (progress.borrow_and_update().phase, drawn.is_some());
            let moved =
                progress.wait_for(|now| has_bar && now.phase != phase && now.phase != Phase::Planning);
            let ended = tokio::time::timeout(pause, moved).await.is_ok_and(|changed| changed.is_err());
            let now = progress.borrow().clone();
            let line = now.line();
            match &drawn {
                Some(bar) => {
                    bar.set_position(permille(now.share()));
                    bar.set_message(line);
                }
                None if line != shown && !now.projection.is_empty() => {
                    tracing::info!("{line}");
                    shown = line;
                }
                None => {}
            }
            if ended {
                break;
            }
        }
    });
    Shown { task, bar }
}

/// Shows a count that runs up to a total.
pub(in crate::cli) fn show_count(counter: watch::Receiver<u64>, total: u64, noun: &'static str) -> Shown {
    let bar = new_bar();
    let drawn = bar.clone();
    let task = tokio::spawn(async move {
        let pause = Duration::from_millis(if drawn.is_some() { 100 } else { 5000 });
        loop {
            tokio::time::sleep(pause).await;
            let now = *counter.borrow();
            let line = format!("{now}/{total} {noun}");
            match &drawn {
                Some(bar) => {
                    #[expect(clippy::cast_precision_loss, reason = "a share")]
                    bar.set_position(permille(now as f64 / total.max(1) as f64));
                    bar.set_message(line);
                }
                None => tracing::info!("{line}"),
            }
        }
    });
    Shown { task, bar }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
fn permille(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1000.0) as u64
}
