//! Why a snapshot was not taken.

use std::io;

use rustredis_persistence::rdb::RdbError;

/// Why a snapshot was not taken.
#[derive(Debug)]
pub(crate) enum Failure {
    GivenUp,
    Storage(io::Error),
    Rdb(RdbError),
    Text(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GivenUp => f.write_str("it was given up"),
            Self::Storage(error) => write!(f, "{error}"),
            Self::Rdb(error) => write!(f, "{error}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<RdbError> for Failure {
    fn from(error: RdbError) -> Self {
        Self::Rdb(error)
    }
}
