//! What SQLite's errors mean to a caller of the store.

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

impl From<Error> for StoreError {
    /// SQLite's own message is left out, since it may name the path; its code's text says enough.
    fn from(error: Error) -> Self {
        match error {
            Error::SqliteFailure(cause, _) | Error::SqlInputError { error: cause, .. } => from_code(cause),
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..) => Self::Corrupt("a record"),
            _ => Self::Unavailable("the database refused the question".into()),
        }
    }
}

fn from_code(cause: ffi::Error) -> StoreError {
    match cause.code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt("the database"),
        _ => StoreError::Unavailable(ffi::code_to_str(cause.extended_code).into()),
    }
}
