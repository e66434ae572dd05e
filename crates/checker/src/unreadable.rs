//! Why a history cannot be read.

use std::fmt;
use std::io;

use crate::history::{MAX_CELLS, MAX_LINE};
use crate::operation::{Key, Txn, Value};

/// A history that cannot be judged, and where it went wrong.
#[derive(Debug)]
pub struct Unreadable {
    /// The line, counted from 1; of a built history, the number of the operation.
    pub line: u64,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

/// What is wrong with a line of a history.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The input broke off.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The line is not an operation.
    #[error("found {found}, expected {expected}")]
    Malformed {
        /// The text in question, printable and cut short.
        found: String,
        /// What would have been accepted in its place.
        expected: &'static str,
    },
    /// The line has more than [`MAX_LINE`] bytes; an operation has at most 86.
    #[error(
        "found a line of more than {MAX_LINE} bytes, expected an operation, a comment or nothing"
    )]
    LongLine,
    /// Two operations have one number.
    #[error(
        "found transaction {txn} again, expected a number of its own: line {first} has it already"
    )]
    TxnAgain {
        /// The number.
        txn: Txn,
        /// The line that had it first.
        first: u64,
    },
    /// Two writes set one key to one value, so that a read would not tell which it saw.
    #[error(
        "found value {value} written to key {key} again, expected a new value: line {first} wrote it already"
    )]
    WriteAgain {
        /// The key.
        key: Key,
        /// The value.
        value: Value,
        /// The line that wrote it first.
        first: u64,
    },
    /// A write of value 0, which stands for "never written".
    #[error("found a write of value 0 to key {key}, expected another value: 0 means never written")]
    WriteOfInitial {
        /// The key.
        key: Key,
    },
    /// Operations times sessions exceed [`MAX_CELLS`].
    #[error(
        "found {operations} operations of {sessions} sessions, expected a product of at most {MAX_CELLS}: split the history by sets of keys, or record fewer sessions"
    )]
    TooLarge {
        /// Operations so far, this one included.
        operations: usize,
        /// Sessions so far, this one included.
        sessions: usize,
    },
}
