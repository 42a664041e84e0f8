//! From an error to its exit code and to the line that says what to do.

use crate::cli::command::Command;
use crate::error::Error;

/// Exit code where a collection differs from the event store.
pub(super) const EXIT_MISMATCH: u8 = 5;

/// A verb that failed, with what was typed.
pub(super) struct Failed {
    // Boxed, because the result of every verb would be as large as it.
    error: Box<Error>,
    command: Command,
}

impl Failed {
    pub(super) fn new(error: Error, command: &Command) -> Self {
        Self { error: Box::new(error), command: command.clone() }
    }

    pub(super) fn error(&self) -> &Error {
        &self.error
    }

    pub(super) fn exit_code(&self) -> u8 {
        code_of(&self.error)
    }

    /// The error in full, in several lines where there is a list.
    pub(super) fn message(&self) -> String {
        let mut message = self.error.with_sources();
        let cause = match &*self.error {
            Error::BootFailed { first, .. } => first,
            error => error,
        };
        if let Error::FailedStreams { failed_streams, examples, .. } = cause {
            for example in examples {
                message.push_str(&format!("\n  {example}"));
            }
            let more = failed_streams.saturating_sub(examples.len() as u64);
            if more > 0 {
                message.push_str(&format!("\n  and {more} more"));
            }
        }
        message
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        self.hint_for(&self.error)
    }

    fn hint_for(&self, error: &Error) -> Option<String> {
        let with = |verb: &str| self.command.with(verb);
        let again = || self.command.again();
        Some(match error {
            Error::BootFailed { first, .. } => return self.hint_for(first),
            Error::LeaseHeld { .. } => format!(
                "It is alive; wait until it is done, or stop that process. See: {}",
                with("lock show")
            ),
            Error::Refused { unless, .. } => format!("Nothing was changed. To do it all the same: {unless}"),
            Error::LeaseLost { .. } => format!(
                "Nothing was written after that, what is built so far is kept. See who leads: {}\nTo go on: {}",
                with("lock show"),
                again()
            ),
            Error::NotCutOver { .. } => {
                format!("Nothing was published, the finished generation is kept. Run again: {}", again())
            }
            Error::ReadOnly { .. } => format!("To end that: {}", with("read-only off")),
            Error::WritesFenced { .. } => format!("See what stands: {}", with("read-only status")),
            Error::ReadOnlyServer | Error::Conflict { .. } => return None,
            Error::FenceBusy { .. } => {
                "End what is in the way, or let it be waited for longer with --wait 10m.".into()
            }
            Error::Config(_) => "See `statefold help` for flags, environment and the settings file.".into(),
            Error::Registry(_)
            | Error::Unsupported(_)
            | Error::Bug(_)
            | Error::Io { .. }
            | Error::MemoryBudget { .. } => {
                return None;
            }
            Error::LockHeld { .. } => format!(
                "A server that starts or migrates holds this lock for a while: try again later. If its process is \
                 certainly dead, release the lock: {}",
                with("lock release --force")
            ),
            Error::Mismatch(_) => {
                format!(
                    "Nothing was published, what is built so far is kept. Run again: {}\nTo build everything anew: {}",
                    again(),
                    self.command.again_with("--fresh")
                )
            }
            Error::FailedStreams { failed_streams, .. } => format!(
                "The finished build is kept. To publish it without these streams: {}\nTo see them: {}\nTo drop it: {}",
                self.command.again_with(&format!("--max-errors {failed_streams}")),
                with("errors list"),
                with("abort --yes"),
            ),
            Error::Unreachable { .. } | Error::Deadline { .. } | Error::Server { transient: true, .. } => {
                if self.command.is_work() {
                    format!(
                        "Nothing was published, what is built so far is kept. When the server is back: {}",
                        again()
                    )
                } else {
                    "Is it running, and is --uri (or MONGODB_URI) right?".into()
                }
            }
            Error::Server { .. } | Error::State { .. } => "See --log debug for more.".into(),
            Error::Permission { .. } => {
                let kept = if self.command.is_work() { "What is built so far is kept. " } else { "" };
                format!(
                    "{kept}Check user, password and authSource of the URI, and --database. Which right is missing for \
                     which step: {}",
                    with("plan")
                )
            }
            Error::DiskFull { .. } => format!(
                "Nothing was published, what is built so far is kept. Make room, then run again: {}\nOr give the \
                 space back: {}",
                again(),
                with("abort --yes"),
            ),
            Error::Fenced { .. } => format!("See who: {}", with("lock show")),
            Error::Newer { .. } => "Use the newer statefold; this one changes nothing here.".into(),
            Error::Interrupted => {
                if self.command.is_work() {
                    format!("Nothing was published. To go on: {}", again())
                } else {
                    return None;
                }
            }
        })
    }
}

/// Exit code of an error; a start that failed ends as its first attempt did.
fn code_of(error: &Error) -> u8 {
    match error {
        Error::Config(_) | Error::Registry(_) | Error::Unsupported(_) => 2,
        Error::LockHeld { .. } | Error::LeaseHeld { .. } | Error::ReadOnly { .. } => 3,
        Error::Mismatch(_) => EXIT_MISMATCH,
        Error::FailedStreams { .. } => 6,
        Error::Unreachable { .. } | Error::Deadline { .. } | Error::Server { transient: true, .. } => 7,
        Error::Newer { .. } => 8,
        Error::Interrupted => 130,
        Error::BootFailed { first, .. } => code_of(first),
        _ => 1,
    }
}
