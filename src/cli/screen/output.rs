//! Standard output and standard error: results go to the first, all else to the second.

use std::io::{ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use crate::cli::command::Command;
use crate::cli::exit::{EXIT_FAILURE, EXIT_USAGE, Failed};
use crate::cli::screen::table::wrapped;

/// The two streams that a verb prints to, and the format of its result.
pub(in crate::cli) struct Output {
    format: Format,
    /// Why a result could not be printed.
    lost: Mutex<Option<String>>,
    /// The command that lifts a fence.
    lift: OnceLock<String>,
}

impl Output {
    pub(in crate::cli) fn new(format: Format) -> Self {
        Self { format, lost: Mutex::default(), lift: OnceLock::new() }
    }

    pub(in crate::cli) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Notes the command that lifts a fence, for whoever ends the program while one stands.
    pub(in crate::cli) fn lifts_by(&self, command: String) {
        _ = self.lift.set(command);
    }

    /// That command.
    pub(in crate::cli) fn lift(&self) -> String {
        self.lift.get().cloned().unwrap_or_default()
    }

    /// Prints a result as JSON, or as the text that `text` makes of it.
    pub(in crate::cli) fn result<T: Serialize>(&self, result: &T, text: impl FnOnce(&T) -> String) {
        if self.is_json() {
            let json = serde_json::to_string_pretty(result);
            self.text(&json.unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}")));
        } else {
            self.text(&wrapped(&text(result), &std::io::stdout()));
        }
    }

    /// Prints one of many results as JSON, in one line.
    pub(in crate::cli) fn line<T: Serialize>(&self, result: &T) {
        self.text(
            &serde_json::to_string(result).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}")),
        );
    }

    /// Shows a text in place of the last one, where the terminal can do that, else below it.
    pub(in crate::cli) fn screen(&self, text: &str) {
        let clear = if super::progress::can_draw(&std::io::stdout()) { "\x1b[H\x1b[2J" } else { "" };
        self.text(&format!("{clear}{}", wrapped(text, &std::io::stdout())));
    }

    /// Prints a result that is text in any format.
    pub(in crate::cli) fn text(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let text = text.trim_end();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Ok(()) => {}
            // The reader has seen enough, as `head` has: the outcome is that of the verb.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => *self.lost() = Some(error.to_string()),
        }
    }

    fn lost(&self) -> MutexGuard<'_, Option<String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exit code of a verb that ended with `code`: that of a failure, if its result could not be printed.
    pub(in crate::cli) fn exit_code(&self, code: u8) -> u8 {
        let lost = self.lost().take();
        match lost {
            Some(reason) => {
                self.note(&format!("error: the result could not be written: {reason}"));
                if code == 0 { EXIT_FAILURE } else { code }
            }
            None => code,
        }
    }

    /// Says something that isn't the result.
    pub(in crate::cli) fn note(&self, text: &str) {
        super::progress::around_bars(|| {
            let _ = writeln!(std::io::stderr().lock(), "{}", wrapped(text, &std::io::stderr()));
        });
    }

    /// Says that this was only an announcement, and the command that does it.
    pub(in crate::cli) fn nothing_changed(&self, command: &Command) {
        self.note(&format!("Nothing was changed. To do it: {}", command.again()));
    }

    /// Says as JSON why a command line is not understood.
    pub(in crate::cli) fn usage(&self, message: &str) {
        let message = message.trim_end();
        let error = json!({ "error": { "code": "usage", "message": message, "exit_code": EXIT_USAGE } });
        self.text(&error.to_string());
    }

    /// Says why a verb failed and what to do.
    pub(in crate::cli) fn failed(&self, failed: &Failed) {
        let (message, hint) = (failed.message(), failed.hint());
        if self.is_json() {
            let error = json!({ "error": {
                "code": failed.error().code(), "message": &message, "hint": &hint,
                "exit_code": failed.exit_code(),
            } });
            self.text(&error.to_string());
        }
        self.note(&format!("error: {message}"));
        if let Some(hint) = hint {
            self.note(&hint);
        }
    }
}

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}
