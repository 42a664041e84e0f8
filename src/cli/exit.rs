//! From an error to its exit code and to the line that says what to do.

use crate::cli::command::Command;
use crate::error::{Class, Error, Insistence};
use crate::next_step::NextStep;

/// Exit code of a failure that somebody has to look at.
pub(super) const EXIT_FAILURE: u8 = 1;
/// Exit code of flags, settings or a database that this program can't work with.
pub(super) const EXIT_USAGE: u8 = 2;
/// Exit code while somebody else holds what is needed.
const EXIT_HELD: u8 = 3;
/// Exit code of `status --check` when a projection is behind.
pub(super) const EXIT_PENDING: u8 = 4;
/// Exit code where a collection differs from the event store.
pub(super) const EXIT_MISMATCH: u8 = 5;
/// Exit code when streams can't be folded.
pub(super) const EXIT_FAILED_STREAMS: u8 = 6;
/// Exit code when the server doesn't answer, or not in time.
const EXIT_UNREACHABLE: u8 = 7;
/// Exit code for a database that a newer program wrote.
const EXIT_NEWER: u8 = 8;
/// Exit code after a signal.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// The failure of a verb, with the command that was typed.
pub(super) struct Failed {
    // Boxed: else the result of every verb would be as large as an error.
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

    /// The line that says what to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        self.hint_for(&self.error)
    }

    fn hint_for(&self, error: &Error) -> Option<String> {
        let next = |step: NextStep| self.command.next(&step);
        let again = || self.command.again();
        Some(match error {
            Error::BootFailed { first, .. } => return self.hint_for(first),
            Error::Moved { .. } => {
                format!("Nobody has to wait for that. To finish it: {}", next(NextStep::Migrate))
            }
            Error::NoEventStore { .. } => {
                "Choose one of them with --database, or say --allow-empty if it is to have none.".to_owned()
            }
            Error::LeaseHeld { .. } => format!(
                "It is alive; wait until it is done, or stop that process. See: {}",
                next(NextStep::ShowLock)
            ),
            Error::Refused { unless, .. } => {
                let insisting = self.command.clone().arguments([flag_of(*unless).to_owned()]);
                format!("Nothing was changed. To do it all the same: {}", insisting.again())
            }
            Error::NotReady { next, .. } => {
                let steps: Vec<String> = next.iter().map(|step| self.command.next(step)).collect();
                format!("Next: {}", steps.join("\nOr: "))
            }
            Error::SpillFolder { .. } => {
                "Free some space, or choose another folder with --spill-dir.".to_owned()
            }
            Error::LeaseLost { .. } => format!(
                "Nothing was written after that, what is built so far is kept. See who leads: {}\n\
                 To resume: {}",
                next(NextStep::ShowLock),
                again()
            ),
            Error::NotCutOver { .. } => {
                format!("{}The finished generation is kept. Run again: {}", self.command.published(), again())
            }
            Error::ReadOnly { .. } => format!("To end that: {}", next(NextStep::EndReadOnly)),
            Error::WritesFenced { .. } => format!("See what stands: {}", next(NextStep::ShowFence)),
            Error::ReadOnlyServer | Error::Conflict { .. } => return None,
            Error::FenceStands { .. } => {
                format!("The event store refuses events. To lift the fence: {}", next(NextStep::EndReadOnly))
            }
            Error::FenceBusy { .. } => {
                "End what is in the way, or let it be waited for longer with --wait 10m.".into()
            }
            Error::Config(_) => "See `statefold help` for flags, environment and the settings file.".into(),
            Error::MemoryBudget { .. } => "Allow more with --memory, or use --strategy spill.".into(),
            Error::Registry(_) | Error::Unsupported(_) | Error::Bug(_) | Error::Io { .. } => return None,
            Error::LockHeld { .. } => format!(
                "A server that starts or migrates holds the migration lock for a while: try again later. \
                 If its process is certainly dead, release the migration lock: {}",
                next(NextStep::ReleaseLock)
            ),
            Error::Mismatch(_) => {
                let kept = match self.command.is_work() {
                    true => format!("{}What is built so far is kept. ", self.command.published()),
                    false => String::new(),
                };
                let scratch = self.command.fresh_rebuild();
                format!("{kept}Run again: {}\nTo build everything from scratch: {scratch}", again())
            }
            Error::FailedStreams { failed_streams, .. } => format!(
                "The finished build is kept. To publish it without these streams: {}\nTo see them: {}\n\
                 To drop it: {}",
                self.command.again_with(&format!("--max-errors {failed_streams}")),
                next(NextStep::ListFailedStreams),
                next(NextStep::Abort(None)),
            ),
            Error::NoMajority { .. } => {
                format!("Nothing was changed. Bring the members back, then run again: {}", again())
            }
            Error::Unreachable { .. } | Error::Deadline { .. } | Error::Server { transient: true, .. } => {
                if self.command.is_work() {
                    format!(
                        "{}What is built so far is kept. When the server is back: {}",
                        self.command.published(),
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
                    "{kept}Check user, password and authSource of the URI, and --database. \
                     Which right is missing for which step: {}",
                    next(NextStep::Plan)
                )
            }
            Error::DiskFull { .. } => format!(
                "{}What is built so far is kept. Make room, then run again: {}\nOr give the space back: {}",
                self.command.published(),
                again(),
                next(NextStep::Abort(None)),
            ),
            Error::Fenced { .. } => format!("See who: {}", next(NextStep::ShowLock)),
            Error::Newer { .. } => "Use the newer statefold; this one changes nothing here.".into(),
            Error::Interrupted => {
                if self.command.is_work() {
                    format!("{}To resume: {}", self.command.published(), again())
                } else {
                    return None;
                }
            }
        })
    }
}

/// The flag that insists on what was refused.
fn flag_of(insistence: Insistence) -> &'static str {
    match insistence {
        Insistence::Force => "--force",
        Insistence::IgnoreMargin => "--ignore-margin",
    }
}

/// Exit code of an error: that of its class, unless scripts have to tell it from others of its class.
fn code_of(error: &Error) -> u8 {
    match error {
        // The flags are to be changed, not the database.
        Error::Config(_)
        | Error::Registry(_)
        | Error::Unsupported(_)
        | Error::NoEventStore { .. }
        | Error::NotReady { .. } => EXIT_USAGE,
        // Whoever holds it gives it back: worth another try later.
        Error::LockHeld { .. } | Error::LeaseHeld { .. } | Error::ReadOnly { .. } => EXIT_HELD,
        // Two findings about the data, with different ways on.
        Error::Mismatch(_) => EXIT_MISMATCH,
        Error::FailedStreams { .. } => EXIT_FAILED_STREAMS,
        // Only another program helps.
        Error::Newer { .. } => EXIT_NEWER,
        // Transient, but the server does answer: the event store itself refuses.
        Error::FenceBusy { .. } | Error::WritesFenced { .. } => EXIT_FAILURE,
        // A start that failed ends as its first attempt did.
        Error::BootFailed { first: cause, .. } | Error::Moved { source: cause } => code_of(cause),
        error => code_of_class(error.class()),
    }
}

fn code_of_class(class: Class) -> u8 {
    match class {
        Class::Transient => EXIT_UNREACHABLE,
        Class::Interrupted => EXIT_INTERRUPTED,
        Class::Data | Class::Operator | Class::Bug => EXIT_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_gives_the_code_unless_the_error_has_its_own() {
        let deadline = || Error::Deadline { doing: "reading".into(), seconds: 1 };
        let boot_failed = Error::BootFailed { attempts: 3, first: Box::new(deadline()) };
        let fenced = Error::WritesFenced { fence: "a cut-over".into(), waited_ms: 1 };
        let conflict = Error::Conflict { stream: "a".into(), expected: 1, actual: 2 };
        let config = Error::Config(Vec::new());
        let held = Error::LeaseHeld { holder: "somebody".into() };
        let mismatch = Error::Mismatch("differs".into());
        let errors = [deadline(), boot_failed, fenced, conflict, config, held, mismatch, Error::Interrupted];
        assert_eq!(errors.map(|error| code_of(&error)), [7, 7, 1, 1, 2, 3, 5, 130]);
    }
}
