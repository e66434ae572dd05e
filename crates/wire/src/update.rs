//! Updates and what they do, as bytes. A replica passes on what it was given, with the
//! fields from later versions that it does not know: prost alone would drop them.

use backfence_gossip::{Time, Timestamp, Update, UpdateId};
use backfence_ratings::{MovieId, Operation, Rating, UserId};
use prost::{
    Message as _,
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, decode_key, skip_field},
};

use crate::{
    Malformed,
    causality::timestamp,
    v1::{self, run::Numbered},
};

/// Fields of an update from this number on are the same in all messages that hold one, so
/// they are passed on where they are not known.
const SHARED: u32 = 16;

/// Most bytes of an update with fields from later versions, in its operation and besides.
/// One with more is malformed.
const MAX_LATER: usize = 4096;

/// Of an operation that only a later version knows.
pub const LATER_KIND: Malformed =
    Malformed("an operation of a kind that this version does not know: upgrade this server");

/// Encodes a [`v1::Update`].
pub fn update(update: &Update<Operation>) -> Bytes {
    let known = v1::Update {
        id: Some(update.id.into()),
        prev: Some((&update.prev).into()),
        time_us: update.time.0,
        operation: operation(&update.operation),
    };
    with_later(known.encode_to_vec(), &update.operation)
}

/// Reads a [`v1::Update`].
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_update(bytes: &Bytes) -> Result<Update<Operation>, Malformed> {
    let update =
        v1::Update::decode(bytes.clone()).map_err(|_| Malformed("an update cannot be decoded"))?;
    let later = later(bytes, update.encoded_len())?;
    let prev = timestamp(update.prev)?;
    read(update.id, update.time_us, &update.operation, &later, prev)
}

/// Encodes an update of a run, of which `prev` differs so from the one before.
pub(crate) fn numbered(update: &Update<Operation>, prev_change: Vec<i64>) -> Bytes {
    let known = Numbered {
        id: Some(update.id.into()),
        time_us: update.time.0,
        operation: operation(&update.operation),
        prev_change,
    };
    with_later(known.encode_to_vec(), &update.operation)
}

/// Reads an update of a run. `prev` is made of how it differs from the one before.
///
/// # Errors
///
/// [`Malformed`] where any part of it is, or by `prev`.
pub(crate) fn read_numbered(
    bytes: &Bytes,
    prev: impl FnOnce(&[i64]) -> Result<Timestamp, Malformed>,
) -> Result<Update<Operation>, Malformed> {
    let update = Numbered::decode(bytes.clone())
        .map_err(|_| Malformed("an update of a run cannot be decoded"))?;
    let later = later(bytes, update.encoded_len())?;
    let prev = prev(&update.prev_change)?;
    read(update.id, update.time_us, &update.operation, &later, prev)
}

fn read(
    id: Option<v1::UpdateId>,
    time_us: u64,
    operation: &Bytes,
    later: &[u8],
    prev: Timestamp,
) -> Result<Update<Operation>, Malformed> {
    let id = id.ok_or(Malformed("an update without an id"))?;
    Ok(Update {
        id: UpdateId::try_from(id)?,
        prev,
        time: Time(time_us),
        operation: read_operation(operation, later)?,
    })
}

fn operation(operation: &Operation) -> Bytes {
    use v1::operation::{Delete, Kind, Rate};
    if let Some(later) = operation
        .later()
        .filter(|later| !later.operation().is_empty())
    {
        return Bytes::copy_from_slice(later.operation());
    }
    let (user_id, movie_id) = (operation.user().0, operation.movie().0);
    let kind = match operation.rating() {
        Some(rating) => Kind::Rate(Rate {
            user_id,
            movie_id,
            rating: rating.ten_thousandths(),
        }),
        None => Kind::Delete(Delete { user_id, movie_id }),
    };
    v1::Operation { kind: Some(kind) }.encode_to_vec().into()
}

fn read_operation(bytes: &Bytes, later: &[u8]) -> Result<Operation, Malformed> {
    use v1::operation::Kind;
    let operation = v1::Operation::decode(bytes.clone())
        .map_err(|_| Malformed("an operation cannot be decoded"))?;
    // What is decoded takes less room than what came only where some of it is not known.
    let is_known = operation.encoded_len() == bytes.len();
    let read = match operation.kind {
        Some(Kind::Rate(rate)) => Operation::Rate {
            user: UserId(rate.user_id),
            movie: MovieId(rate.movie_id),
            rating: Rating::from_ten_thousandths(rate.rating)
                .ok_or(Malformed("a rating is above 5"))?,
        },
        Some(Kind::Delete(delete)) => Operation::Delete {
            user: UserId(delete.user_id),
            movie: MovieId(delete.movie_id),
        },
        None if bytes.is_empty() => return Err(Malformed("an update without an operation")),
        None => return Err(LATER_KIND),
    };
    if is_known && later.is_empty() {
        return Ok(read);
    }
    if bytes.len() + later.len() > MAX_LATER {
        return Err(Malformed(
            "an update has more than 4096 bytes of later versions",
        ));
    }
    let whole: &[u8] = if is_known { &[] } else { bytes };
    Ok(read.with_later(whole, later))
}

/// Puts back what a later version has added to the update.
fn with_later(mut known: Vec<u8>, operation: &Operation) -> Bytes {
    if let Some(later) = operation.later() {
        // Fields that follow a message belong to it.
        known.extend(later.update());
    }
    known.into()
}

/// The fields of an update that are not known here, as they came, of those that have one
/// number in all messages. `known` is how long the rest is.
fn later(bytes: &Bytes, known: usize) -> Result<Vec<u8>, Malformed> {
    let mut fields = Vec::new();
    if bytes.len() == known {
        return Ok(fields);
    }
    let mut rest = bytes.clone();
    while rest.has_remaining() {
        let from = rest.clone();
        let number = skip(&mut rest).map_err(|_| Malformed("an update is cut short"))?;
        if number >= SHARED {
            fields.extend_from_slice(&from[..from.len() - rest.len()]);
        }
    }
    Ok(fields)
}

/// Passes over a field, and gives its number.
fn skip(rest: &mut Bytes) -> Result<u32, prost::DecodeError> {
    let (number, kind) = decode_key(rest)?;
    skip_field(kind, number, rest, DecodeContext::default())?;
    Ok(number)
}
