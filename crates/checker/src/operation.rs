//! One operation of a history, and its text form.

use std::fmt;

use crate::unreadable::Problem;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// What is read and written.
    Key
}
number! {
    /// What a key holds. Each value is written to a key at most once, so a read
    /// tells which write it reads from.
    Value
}
number! {
    /// A client whose operations happened one after another.
    Session
}
number! {
    /// The number of an operation, unique in a history.
    Txn
}

impl Value {
    /// What every key holds before its first write.
    pub const INITIAL: Self = Self(0);
}

/// Whether an operation reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `w`: the operation set the key to the value.
    Write,
    /// `r`: the operation found the value in the key.
    Read,
}

/// Its letter in the exchange format.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "w",
            Self::Read => "r",
        })
    }
}

/// One operation: a line of the exchange format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whether it reads or writes.
    pub kind: Kind,
    /// The key that it accesses.
    pub key: Key,
    /// The value written, or the value that the read returned.
    pub value: Value,
    /// The session that it belongs to.
    pub session: Session,
    /// Its number, unique in the history.
    pub txn: Txn,
}

impl Operation {
    /// A write, the numbers in the order of the exchange format.
    pub const fn write(key: u64, value: u64, session: u64, txn: u64) -> Self {
        Self::new(Kind::Write, [key, value, session, txn])
    }

    /// A read, the numbers in the order of the exchange format.
    pub const fn read(key: u64, value: u64, session: u64, txn: u64) -> Self {
        Self::new(Kind::Read, [key, value, session, txn])
    }

    const fn new(kind: Kind, [key, value, session, txn]: [u64; 4]) -> Self {
        Self {
            kind,
            key: Key(key),
            value: Value(value),
            session: Session(session),
            txn: Txn(txn),
        }
    }
}

/// The exchange format: `w(KEY,VALUE,SESSION,TXN)` or `r(KEY,VALUE,SESSION,TXN)`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, key, value) = (self.kind, self.key, self.value);
        write!(f, "{kind}({key},{value},{},{})", self.session, self.txn)
    }
}

/// Parses the exchange format from bytes of any kind.
impl TryFrom<&[u8]> for Operation {
    type Error = Problem;

    fn try_from(text: &[u8]) -> Result<Self, Problem> {
        let (kind, rest) = match text {
            [b'w', rest @ ..] => (Kind::Write, rest),
            [b'r', rest @ ..] => (Kind::Read, rest),
            _ => return Err(malformed(text, FORMAT)),
        };
        let inside = rest
            .strip_prefix(b"(")
            .and_then(|rest| rest.strip_suffix(b")"))
            .ok_or_else(|| malformed(text, FORMAT))?;
        let fields: Vec<&[u8]> = inside.split(|&byte| byte == b',').collect();
        let fields: [&[u8]; 4] = fields
            .try_into()
            .map_err(|_| malformed(text, "four numbers: KEY,VALUE,SESSION,TXN"))?;
        let [key, value, session, txn] = fields;
        let numbers = [
            number(key, "KEY, an unsigned number of at most 64 bits")?,
            number(value, "VALUE, an unsigned number of at most 64 bits")?,
            number(session, "SESSION, an unsigned number of at most 64 bits")?,
            number(txn, "TXN, an unsigned number of at most 64 bits")?,
        ];
        Ok(Self::new(kind, numbers))
    }
}

const FORMAT: &str = "w(KEY,VALUE,SESSION,TXN) or r(KEY,VALUE,SESSION,TXN)";

/// Only digits: the standard parser would also take a leading plus.
fn number(text: &[u8], expected: &'static str) -> Result<u64, Problem> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed(text, expected))
}

/// Shows bytes of any kind in printable form, cut where a message would get long.
fn malformed(text: &[u8], expected: &'static str) -> Problem {
    const SHOWN: usize = 60;
    let cut = if text.len() > SHOWN { "..." } else { "" };
    let shown = text[..text.len().min(SHOWN)].escape_ascii();
    Problem::Malformed {
        found: format!("`{shown}`{cut}"),
        expected,
    }
}
