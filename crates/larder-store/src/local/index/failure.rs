//! What a failure of SQLite means to a caller: one table from its codes to [`ErrorKind`].

use std::path::Path;

use larder_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// SQLite's code for a statement that makes no sense (`SQLITE_ERROR`).
const NO_SENSE: i32 = 1;

/// Whether the error says that the database itself is damaged.
///
/// A statement that makes no sense says so, too: all of them are fixed, so it is the schema that is not what it was.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || error.sqlite_error().is_some_and(|error| error.extended_code == NO_SENSE)
        || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        )
}

/// The error of Larder for an error of SQLite.
pub(super) fn from_sqlite(error: rusqlite::Error, operation: &'static str, path: &Path) -> Error {
    let kind = kind_of(&error);
    let told = Error::new(kind, operation).with("path", path.display());
    let told = match kind {
        ErrorKind::Full => {
            told.with_hint("free some space, or make the cache smaller: `larder cache gc --to-size 1G`")
        }
        ErrorKind::ReadOnly => told.with_hint("point `LARDER_HOME` to a folder that can be written"),
        ErrorKind::Busy => told.with_hint("another process writes to this cache; try again"),
        ErrorKind::Corrupt => told.with_hint("run `larder cache verify --repair`"),
        ErrorKind::Permission => told.with_hint("check the owner and the mode of this path"),
        _ => told,
    };
    told.caused_by(error)
}

fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    if is_corruption(error) {
        return ErrorKind::Corrupt;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            ErrorKind::Busy
        }
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::ReadOnly) => ErrorKind::ReadOnly,
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            ErrorKind::Permission
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::NoLargeFileSupport) => {
            ErrorKind::Io
        }
        Some(ErrorCode::TooBig) => ErrorKind::Invalid,
        Some(ErrorCode::OperationInterrupted | ErrorCode::OperationAborted) => ErrorKind::Cancelled,
        _ => ErrorKind::Internal,
    }
}
