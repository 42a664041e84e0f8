//! The driver's errors, sorted by what a caller can do about them.

use mongodb::error::{Error as DriverError, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

use crate::error::Error;

/// Codes after which the same operation may succeed: elections, shutdowns, lost cursors, overload.
const TRANSIENT: [i32; 19] =
    [6, 7, 43, 64, 89, 91, 112, 133, 175, 189, 202, 262, 317, 365, 9001, 10107, 11600, 11602, 13435];
const NOT_PERMITTED: [i32; 3] = [13, 18, 8000];
const DISK_FULL: i32 = 14031;
/// A document with this key exists.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// First code the server gave, wherever in the error it stands.
pub(super) fn code(error: &DriverError) -> Option<i32> {
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

/// Turns a driver's error into ours.
pub(super) fn classify(doing: &str, error: DriverError) -> Error {
    let doing = doing.to_owned();
    let code = code(&error);
    match (error.kind.as_ref(), code) {
        (ErrorKind::Authentication { .. }, _) => Error::Permission { doing, source: Box::new(error) },
        (_, Some(code)) if NOT_PERMITTED.contains(&code) => {
            Error::Permission { doing, source: Box::new(error) }
        }
        (_, Some(DISK_FULL)) => Error::DiskFull { doing, source: Box::new(error) },
        (
            ErrorKind::ServerSelection { .. }
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. },
            _,
        ) => Error::Unreachable { doing, source: Box::new(error) },
        (ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. }, _) => {
            Error::Config(vec![format!("{doing}: {error}")])
        }
        _ => {
            let labelled = error.contains_label(RETRYABLE_WRITE_ERROR);
            let transient = labelled || code.is_some_and(|code| TRANSIENT.contains(&code));
            Error::Server { doing, code, transient, source: Box::new(error) }
        }
    }
}
