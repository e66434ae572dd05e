//! A history: built operation by operation or read from the exchange format.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};

use crate::operation::{Key, Kind, Operation, Session, Txn, Value};
use crate::unreadable::{Problem, Unreadable};

/// The longest line, in bytes. A longer one makes the history unreadable.
pub const MAX_LINE: usize = 4096;

/// The most that operations times sessions may come to. The check takes 4 bytes
/// for each, so 4 GiB; a larger history is refused while it is built.
pub const MAX_CELLS: usize = 1 << 30;

/// What clients saw: operations, each session's in its order.
///
/// Every history that exists can be judged: transactions and writes are unique,
/// nobody writes the initial value, and its size is bounded. Columns instead of
/// records, as a history has millions of operations.
#[derive(Debug, Default)]
pub struct History {
    kinds: Vec<Kind>,
    values: Vec<Value>,
    txns: Vec<Txn>,
    lines: Vec<u64>,
    /// Of each operation, the index of its key in `key_names`.
    pub(crate) keys: Vec<u32>,
    /// Of each operation, the index of its session in `session_names`.
    pub(crate) sessions: Vec<u32>,
    key_names: Names,
    session_names: Names,
    /// Which operation wrote a value to a key index.
    writers: HashMap<(u32, Value), u32>,
}

/// How much there is in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Reads and writes.
    pub operations: usize,
    /// Writes among them.
    pub writes: usize,
    /// Distinct sessions.
    pub sessions: usize,
    /// Distinct keys.
    pub keys: usize,
}

impl History {
    /// Reads the exchange format: one operation a line, each session's in its order;
    /// blank lines and lines that start with `#` are skipped, as is white space at
    /// both ends of a line.
    ///
    /// # Errors
    /// The first line that cannot be read or contradicts an earlier one.
    pub fn parse(mut input: impl BufRead) -> Result<Self, Unreadable> {
        let mut builder = HistoryBuilder::default();
        let mut text = Vec::new();
        for line in 1.. {
            let at_line = |problem| Unreadable { line, problem };
            if !next_line(&mut input, &mut text).map_err(at_line)? {
                break;
            }
            let text = text.trim_ascii();
            if !text.is_empty() && !text.starts_with(b"#") {
                let operation = Operation::try_from(text).map_err(at_line)?;
                builder.push_from(line, operation)?;
            }
        }
        Ok(builder.finish())
    }

    /// Writes the exchange format, without the comments that it was read with.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        self.operations()
            .try_for_each(|operation| writeln!(out, "{operation}"))
    }

    /// All operations in the order in which they were given.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = Operation> + '_ {
        (0..self.len()).map(|place| self.operation(place))
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        Size {
            operations: self.len(),
            writes: self.writers.len(),
            sessions: self.session_names.names.len(),
            keys: self.key_names.names.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn kind(&self, place: usize) -> Kind {
        self.kinds[place]
    }

    pub(crate) fn operation(&self, place: usize) -> Operation {
        Operation {
            kind: self.kinds[place],
            key: Key(self.key_names.names[self.keys[place] as usize]),
            value: self.values[place],
            session: Session(self.session_names.names[self.sessions[place] as usize]),
            txn: self.txns[place],
        }
    }

    /// The line that the operation stood in, counted from 1.
    pub(crate) fn line(&self, place: usize) -> u64 {
        self.lines[place]
    }

    /// Where the value at `place` was written: nowhere if it is initial.
    ///
    /// # Errors
    /// `place`, where nobody wrote the value.
    pub(crate) fn writer(&self, place: usize) -> Result<Option<u32>, usize> {
        let value = self.values[place];
        if value == Value::INITIAL {
            return Ok(None);
        }
        match self.writers.get(&(self.keys[place], value)) {
            Some(&writer) => Ok(Some(writer)),
            None => Err(place),
        }
    }
}

/// Takes operations one by one, for tools that record or generate histories.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    txns: HashMap<Txn, u32>,
}

impl HistoryBuilder {
    /// Adds an operation, later in its session than those before it.
    ///
    /// # Errors
    /// The operation contradicts an earlier one, writes the initial value, or makes
    /// the history too large. It is then not added, and the builder stays usable.
    pub fn push(&mut self, operation: Operation) -> Result<(), Unreadable> {
        self.push_from(self.history.len() as u64 + 1, operation)
    }

    /// The history of all operations that were added.
    pub fn finish(self) -> History {
        self.history
    }

    fn push_from(&mut self, line: u64, operation: Operation) -> Result<(), Unreadable> {
        self.admit(operation)
            .map_err(|problem| Unreadable { line, problem })?;
        let history = &mut self.history;
        // Cannot overflow: the size was bounded by `MAX_CELLS` just before.
        let place = history.len() as u32;
        let key = history.key_names.index_of(operation.key.0);
        if operation.kind == Kind::Write {
            history.writers.insert((key, operation.value), place);
        }
        self.txns.insert(operation.txn, place);
        history.kinds.push(operation.kind);
        history.values.push(operation.value);
        history.txns.push(operation.txn);
        history.lines.push(line);
        history.keys.push(key);
        let session = history.session_names.index_of(operation.session.0);
        history.sessions.push(session);
        Ok(())
    }

    fn admit(&self, operation: Operation) -> Result<(), Problem> {
        let Operation { key, value, .. } = operation;
        let history = &self.history;
        let line_of = |place: &u32| history.lines[*place as usize];
        if let Some(first) = self.txns.get(&operation.txn).map(line_of) {
            let txn = operation.txn;
            return Err(Problem::TxnAgain { txn, first });
        }
        if operation.kind == Kind::Write {
            if value == Value::INITIAL {
                return Err(Problem::WriteOfInitial { key });
            }
            let index = history.key_names.index.get(&key.0);
            let writer = index.and_then(|&index| history.writers.get(&(index, value)));
            if let Some(first) = writer.map(line_of) {
                return Err(Problem::WriteAgain { key, value, first });
            }
        }
        let operations = history.len() + 1;
        let known = &history.session_names;
        let new = !known.index.contains_key(&operation.session.0);
        let sessions = known.names.len() + usize::from(new);
        if operations.saturating_mul(sessions) > MAX_CELLS {
            return Err(Problem::TooLarge {
                operations,
                sessions,
            });
        }
        Ok(())
    }
}

/// Sparse numbers that the input chose, made dense in order of appearance.
#[derive(Debug, Default)]
struct Names {
    names: Vec<u64>,
    index: HashMap<u64, u32>,
}

impl Names {
    fn index_of(&mut self, name: u64) -> u32 {
        *self.index.entry(name).or_insert_with(|| {
            self.names.push(name);
            (self.names.len() - 1) as u32
        })
    }
}

/// Reads one line into `text`; false at the end of the input. Never holds more than
/// [`MAX_LINE`] bytes and the line feed.
fn next_line(input: &mut impl BufRead, text: &mut Vec<u8>) -> Result<bool, Problem> {
    text.clear();
    let limit = MAX_LINE as u64 + 1;
    input.by_ref().take(limit).read_until(b'\n', text)?;
    if text.len() > MAX_LINE && text.last() != Some(&b'\n') {
        return Err(Problem::LongLine);
    }
    Ok(!text.is_empty())
}
