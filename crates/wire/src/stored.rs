//! What replicas keep on disk, as bytes.

use std::sync::Arc;

use backfence_gossip::{Block, Executed, Record, ReplicaId, SessionId, State, Time};
use backfence_ratings::{Base, Cell, MovieId, Operation, Ratings, UserId};

use crate::{Malformed, Versions, decode, encode, peers, v1};

/// The bytes of a [`v1::Record`].
pub fn record(record: &Record<Operation>) -> Vec<u8> {
    encode(&v1::Record::from(record))
}

/// Reads a [`record`].
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_record(bytes: &[u8]) -> Result<Record<Operation>, Malformed> {
    decode::<v1::Record>(bytes)?.try_into()
}

/// The bytes of a [`v1::State`] without its log, its executed updates and its cells.
pub fn cut(state: &State<Ratings>) -> Vec<u8> {
    encode(&v1::State {
        log: Vec::new(),
        executed: Vec::new(),
        cells: Vec::new(),
        ..peers::state(state, Versions::OWN.newest, Time::default())
    })
}

/// Reads the [`cut`] of the replica `from`: its state, but for what the cut lacks.
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_cut(
    from: ReplicaId,
    base: Arc<Base>,
    bytes: &[u8],
) -> Result<State<Ratings>, Malformed> {
    peers::read_state(from, base, decode(bytes)?)
}

/// The bytes of a [`v1::state::Cell`]: the last write of a user to a movie.
pub fn cell(movie: MovieId, user: UserId, cell: Cell) -> Vec<u8> {
    encode(&peers::cell(movie, user, cell))
}

/// Reads a [`cell`].
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_cell(bytes: &[u8]) -> Result<(MovieId, UserId, Cell), Malformed> {
    peers::read_cell(decode(bytes)?)
}

/// The bytes of a [`v1::state::Executed`]: what is executed of one session.
pub fn executed(session: SessionId, executed: &Executed) -> Vec<u8> {
    encode(&peers::executed(session, executed, Versions::OWN.newest))
}

/// Reads what is [`executed`]. First replies without a digest, of version 1 of the wire, are
/// merged.
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_executed(bytes: &[u8]) -> Result<(SessionId, Executed), Malformed> {
    peers::read_executed(decode(bytes)?)
}

/// The bytes of a [`v1::state::executed::Block`]: digests of executed updates.
pub fn block(block: &Block) -> Vec<u8> {
    encode(&peers::block(block))
}

/// Reads a [`block`].
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_block(bytes: &[u8]) -> Result<Block, Malformed> {
    peers::read_block(decode(bytes)?)
}
