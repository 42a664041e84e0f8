//! The driver's errors, classified by what a caller can do about them, and the codes of the server.

use mongodb::error::{Error as DriverError, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

use crate::error::{Error, Source};

/// Codes after which the same operation may succeed: elections, shutdowns, lost cursors, overload.
const TRANSIENT: [i32; 22] = [
    6, 7, 43, 64, 89, 91, 112, 133, 134, 175, 189, 202, 237, 262, 317, 365, 9001, 10107, 11600, 11602, 13435,
    13436,
];
const NOT_PERMITTED: [i32; 3] = [13, 18, 8000];
/// Codes after which a change stream can't resume: its place is no longer in the server's history.
pub(in crate::store) const HISTORY_LOST: [i32; 4] = [136, 280, 286, 50811];
const DISK_FULL: i32 = 14031;
/// A document with this key exists.
pub(in crate::store) const DUPLICATE_KEY: i32 = 11000;
/// A command took longer than its `maxTimeMS`, for example because it waited for an open transaction.
pub(in crate::store) const OUT_OF_TIME: i32 = 50;
/// No record has the id that a scan was to resume behind.
const RECORD_GONE: i32 = 211;
/// An index is being built on the collection.
pub(in crate::store) const INDEX_BUILD: i32 = 12587;
/// The UUID in the command is that of another collection.
pub(in crate::store) const UUID_MISMATCH: i32 = 361;
/// The collection exists already.
pub(in crate::store) const NAMESPACE_EXISTS: i32 = 48;
/// There is no such collection.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// A validator refused the document.
pub(in crate::store) const VALIDATION_FAILED: i32 = 121;

/// The first code of the server in an error, wherever it stands.
pub(in crate::store) fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let write = many.write_errors.iter().flatten().map(|write| write.code).next();
            write.or_else(|| many.write_concern_error.as_ref().map(|concern| concern.code))
        }
        _ => None,
    }
}

/// Maximum length of a reason: the driver repeats whole commands and replies.
const REASON_CHARS_MAX: usize = 300;

/// The driver's reason in a few words: the server's message without the command.
fn reason(error: &DriverError) -> Source {
    let full = match error.kind.as_ref() {
        ErrorKind::Command(command) => {
            format!("{} ({}, code {})", short(&command.message), command.code_name, command.code)
        }
        ErrorKind::Write(WriteFailure::WriteError(write)) => {
            format!("{} (code {})", short(&write.message), write.code)
        }
        ErrorKind::InsertMany(many) => match many.write_errors.iter().flatten().next() {
            Some(write) => format!("{} (code {})", short(&write.message), write.code),
            None => many.write_concern_error.as_ref().map_or_else(String::new, |concern| {
                format!("{} (code {})", short(&concern.message), concern.code)
            }),
        },
        ErrorKind::ServerSelection { message, .. } => selection(message),
        kind => kind.to_string(),
    };
    full.chars().take(REASON_CHARS_MAX).collect::<String>().into()
}

/// The first server's reason, out of the description of the whole topology.
fn selection(message: &str) -> String {
    let first = message.split_once("Error: Kind: ").map(|(_, rest)| rest);
    match first.and_then(|rest| rest.split_once(", labels")) {
        Some((reason, _)) => format!("no server available: {reason}"),
        None => message.to_owned(),
    }
}

fn short(message: &str) -> &str {
    message.split(" to execute command {").next().unwrap_or(message)
}

/// Turns a driver's error into ours.
pub(in crate::store) fn classify(doing: &str, error: DriverError) -> Error {
    let doing = doing.to_owned();
    let code = code(&error);
    match (error.kind.as_ref(), code) {
        // Refused credentials may show only in the reason that no server could be selected.
        (ErrorKind::ServerSelection { message, .. }, _) if message.contains("Authentication failed") => {
            Error::Permission { doing, source: "the server refused user name or password".into() }
        }
        (ErrorKind::Authentication { .. }, _) => Error::Permission { doing, source: reason(&error) },
        (_, Some(code)) if NOT_PERMITTED.contains(&code) => {
            Error::Permission { doing, source: reason(&error) }
        }
        (_, Some(DISK_FULL)) => Error::DiskFull { doing, source: reason(&error) },
        (
            ErrorKind::ServerSelection { .. }
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. },
            _,
        ) => Error::Unreachable { doing, source: reason(&error) },
        (ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. }, _) => {
            Error::Config(vec![format!("{doing}: {}", reason(&error))])
        }
        _ => {
            let labelled = error.contains_label(RETRYABLE_WRITE_ERROR);
            let transient = labelled || code.is_some_and(|code| TRANSIENT.contains(&code));
            Error::Server { doing, code, transient, source: reason(&error) }
        }
    }
}

/// The error of a reply that the driver took for a success.
pub(in crate::store) fn classify_code(doing: &str, code: i32, message: &str) -> Error {
    let (doing, source) = (doing.to_owned(), Source::from(format!("{} (code {code})", short(message))));
    match code {
        DISK_FULL => Error::DiskFull { doing, source },
        code if NOT_PERMITTED.contains(&code) => Error::Permission { doing, source },
        code => Error::Server { doing, code: Some(code), transient: TRANSIENT.contains(&code), source },
    }
}

/// The error of a write into a partition that was cleared before, transient if it is a duplicate key: the
/// document comes from an insert of a former attempt that reached the server late, and may differ from the
/// one to be written. The partition has to be cleared and written again.
pub(in crate::store) fn written_late(error: Error) -> Error {
    now_transient(error, DUPLICATE_KEY)
}

/// The error of a scan by record ids, transient if the record that a part begins behind is gone: the event
/// store then has to be divided again.
pub(in crate::store) fn divided_in_vain(error: Error) -> Error {
    now_transient(error, RECORD_GONE)
}

fn now_transient(mut error: Error, after: i32) -> Error {
    if let Error::Server { code, transient, .. } = &mut error
        && *code == Some(after)
    {
        *transient = true;
    }
    error
}

/// Whether the server said that the collection doesn't exist.
pub(in crate::store) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Server { code: Some(NAMESPACE_NOT_FOUND), .. })
}

/// Whether the server ended a command because it took longer than its `maxTimeMS`.
pub(crate) fn is_out_of_time(error: &Error) -> bool {
    matches!(error, Error::Server { code: Some(OUT_OF_TIME), .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_late_is_worth_another_try_and_nothing_else_becomes_so() {
        let transient = |error: Error| error.class() == crate::error::Class::Transient;
        let duplicate = || classify_code("writing", DUPLICATE_KEY, "E11000 duplicate key error");
        assert!(!transient(duplicate()) && transient(written_late(duplicate())));
        assert!(!transient(divided_in_vain(duplicate())));
        assert!(transient(divided_in_vain(classify_code("reading", RECORD_GONE, "gone"))));
        assert!(!transient(written_late(classify_code("writing", 2, "bad value"))));
        assert!(matches!(written_late(classify_code("writing", DISK_FULL, "full")), Error::DiskFull { .. }));
    }

    #[test]
    fn the_reason_is_found_in_what_the_driver_says_of_the_topology() {
        let message = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: \
        [ { \
                       Address: 127.0.0.1:1, Type: Unknown, Error: Kind: I/O error: Connection refused (os \
                       error \
                       111), labels: {}, source: None } ] }";
        assert_eq!(selection(message), "no server available: I/O error: Connection refused (os error 111)");
        assert_eq!(selection("something else"), "something else");
        assert_eq!(short("not authorized on db to execute command { find: 1 }"), "not authorized on db");
    }
}
