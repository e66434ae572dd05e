//! A state, read as its bytes come: no more than what it tells is held.

use std::sync::Arc;

use backfence_gossip::{Executed, LogEntry, ReplicaId, SessionId, State, Time};
use backfence_ratings::{Base, Operation, Ratings};
use prost::{
    Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::{
    Malformed, decode,
    peers::{read_cell, read_executed, read_state},
    v1,
};

/// Most bytes of one part of a state: an entry of the log, what is executed of a session.
const PART: usize = 32 << 20;
/// The fields of [`v1::State`] that grow with what was done.
const LOG: u32 = 5;
const EXECUTED: u32 = 6;
const CELLS: u32 = 7;

/// Reads the state of a replica that has the same base, piece by piece.
///
/// The parts that a state has many of become what they mean one by one, so the memory that it
/// takes is near to what it tells, however it is encoded.
#[derive(Debug)]
pub struct StateReader {
    from: ReplicaId,
    base: Arc<Base>,
    /// All but what follows.
    frame: v1::State,
    log: Vec<LogEntry<Operation>>,
    executed: Vec<(SessionId, Executed)>,
    value: Ratings,
    /// The beginning of a part.
    rest: Vec<u8>,
    memory: usize,
}

impl StateReader {
    /// Of the replica `from` nothing has come yet.
    pub fn new(from: ReplicaId, base: Arc<Base>) -> Self {
        Self {
            from,
            value: Ratings::new(Arc::clone(&base)),
            base,
            frame: v1::State::default(),
            log: Vec::new(),
            executed: Vec::new(),
            rest: Vec::new(),
            memory: 0,
        }
    }

    /// Bytes of memory that all takes which has come, an estimate that is seldom too low.
    pub fn memory(&self) -> usize {
        self.memory + self.rest.len()
    }

    /// What the clock of the replica showed; 0 where it has not said so yet.
    pub const fn clock(&self) -> Time {
        Time(self.frame.now_us)
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where any part of them is.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut held = std::mem::take(&mut self.rest);
        held.extend_from_slice(bytes);
        let mut left = &held[..];
        while let Some(field) = next_field(&mut left)? {
            self.read(field)?;
        }
        if left.len() > PART {
            return Err(Malformed("a part of a state is above 32 MiB"));
        }
        self.rest = left.to_vec();
        Ok(())
    }

    /// The state, when all has come.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where something is missing, or any part is.
    pub fn finish(self) -> Result<State<Ratings>, Malformed> {
        if !self.rest.is_empty() {
            return Err(Malformed("a state ends within a part"));
        }
        Ok(State {
            log: self.log,
            executed: self.executed,
            value: self.value,
            ..read_state(self.from, self.base, self.frame)?
        })
    }

    fn read(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        let Field { tag, whole, inside } = field;
        match (tag, inside) {
            (LOG, Some(inside)) => {
                self.memory += 256 + 4 * inside.len();
                let entry = decode::<v1::state::LogEntry>(inside)?;
                self.log.push(entry.try_into()?);
            }
            (EXECUTED, Some(inside)) => {
                self.memory += executed_memory(inside)?;
                self.executed.push(read_executed(decode(inside)?)?);
            }
            (CELLS, Some(inside)) => {
                self.memory += 128;
                let (movie, user, cell) = read_cell(decode(inside)?)?;
                self.value.insert(movie, user, cell);
            }
            _ => {
                self.memory += 64 + 16 * whole.len();
                let merged = self.frame.merge(whole);
                merged.map_err(|_| Malformed("the bytes are no state"))?;
            }
        }
        Ok(())
    }
}

/// A field of a message, as it is encoded.
struct Field<'a> {
    tag: u32,
    whole: &'a [u8],
    /// What stands behind its length, if it has one.
    inside: Option<&'a [u8]>,
}

/// The next field, taken off the front; `None` where it is not all there.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<Field<'a>>, Malformed> {
    let begin: &'a [u8] = bytes;
    let mut at = begin;
    let Ok((tag, wire_type)) = decode_key(&mut at) else {
        // A key has at most 5 bytes.
        return match begin.len() {
            0..5 => Ok(None),
            _ => Err(Malformed("the bytes are no state")),
        };
    };
    if matches!(wire_type, WireType::StartGroup | WireType::EndGroup) {
        return Err(Malformed("a state has no groups"));
    }
    let mut inside = at;
    if skip_field(wire_type, tag, &mut at, DecodeContext::default()).is_err() {
        return Ok(None);
    }
    let whole = &begin[..begin.len() - at.len()];
    let inside = match wire_type {
        WireType::LengthDelimited => {
            // It was skipped by it just now.
            let _ = decode_varint(&mut inside);
            Some(&inside[..inside.len() - at.len()])
        }
        _ => None,
    };
    *bytes = at;
    Ok(Some(Field { tag, whole, inside }))
}

/// What is executed of a session, with all the room that it takes while it is read.
fn executed_memory(mut bytes: &[u8]) -> Result<usize, Malformed> {
    let mut memory = 256;
    while let Some(Field { inside, .. }) = next_field(&mut bytes)? {
        // Most are runs, of which each is small; timestamps grow most as they are read.
        memory += match inside.map_or(0, <[u8]>::len) {
            len @ 0..32 => 96 + 2 * len,
            len => 96 + 4 * len,
        };
    }
    if bytes.is_empty() {
        Ok(memory)
    } else {
        Err(Malformed("the bytes are no state"))
    }
}
