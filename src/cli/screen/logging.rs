//! Log lines on standard error, beside a bar if there is one. Only the command line installs this.

use std::io;
use std::io::Write;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::screen::progress::around_bars;

/// Installs the subscriber. A filter that can't be read falls back to the default one, with a line
/// that says so.
pub(in crate::cli) fn install(format: LogFormat, filter: Option<&str>) {
    let standard = || EnvFilter::new("warn,statefold=info");
    let parsed = filter.map(EnvFilter::try_new);
    let problem = parsed.as_ref().and_then(|parsed| parsed.as_ref().err().map(ToString::to_string));
    let filter = parsed.and_then(Result::ok).unwrap_or_else(standard);
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(BesideBars);
    // Whoever read the log lines may be gone: saying so there would end the program.
    let builder = builder.log_internal_errors(false);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&io::stderr())).init();
        }
    }
    if let Some(problem) = problem {
        tracing::warn!(problem, "the log filter is not understood; using the default one");
    }
}

/// Writes each line while no bar is drawn.
struct BesideBars;

impl MakeWriter<'_> for BesideBars {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line
    }
}

struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        around_bars(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}
