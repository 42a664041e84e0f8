//! Log lines on standard error, beside a bar if there is one. Only the command line installs this.

use std::io;
use std::io::Write;
use std::time::SystemTime;

use clap::ValueEnum;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::cli::screen::progress::{around_bars, can_draw, has_colours};
use crate::error::Error;

/// Installs the subscriber.
///
/// # Errors
/// [`Error::Config`] for a filter that can't be read.
pub(in crate::cli) fn install(format: LogFormat, filter: Option<&str>) -> Result<(), Error> {
    let filter = match filter.filter(|filter| !filter.is_empty()) {
        None => EnvFilter::new("warn,statefold=info"),
        Some(filter) => parsed(filter)?,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(BesideBars);
    // Whoever read the log lines may be gone: saying so there would end the program.
    let builder = builder.log_internal_errors(false);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let builder = builder.with_ansi(has_colours(&io::stderr()));
            match can_draw(&io::stderr()) {
                true => builder.with_timer(Clock).init(),
                false => builder.init(),
            }
        }
    }
    Ok(())
}

/// Reads a filter. A single word has to be a level: else it would be a target that logs nothing.
fn parsed(filter: &str) -> Result<EnvFilter, Error> {
    let problem = |reason: String| {
        let levels = "give error, warn, info, debug, trace or off, or a filter like statefold=debug";
        Error::Config(vec![format!("log: `{filter}` is not understood ({reason}): {levels}")])
    };
    let unknown =
        filter.split(',').find(|part| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err());
    match unknown {
        Some(word) => Err(problem(format!("no level is called `{word}`"))),
        None => EnvFilter::try_new(filter).map_err(|error| problem(error.to_string())),
    }
}

/// The time of a line on a terminal, where the day is known: in UTC, to the second.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        line.write_str(now.split('T').nth(1).unwrap_or(&now))
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
