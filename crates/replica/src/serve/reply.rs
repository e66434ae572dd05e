//! Replies, as a front end reads them.

use std::time::Duration;

use backfence_gossip::{Refusal, ReplicaId};
use backfence_wire::{
    Malformed,
    v1::{self, Declined, ServeReply, serve_reply::Outcome},
};

use crate::{copy::Told, unwritten::Position};

pub(super) fn wire_ids(replicas: &[ReplicaId]) -> Vec<v1::ReplicaId> {
    replicas.iter().map(|&replica| replica.into()).collect()
}

pub(super) fn refuse(refusal: &Refusal) -> ServeReply {
    let (reason, retry_after) = match refusal {
        Refusal::ClockAhead { retry_after } => ("CLOCK_AHEAD", *retry_after),
        Refusal::TooLate { .. } => ("TOO_LATE", Duration::ZERO),
        Refusal::ForgedTimestamp { .. } => ("FORGED_TIMESTAMP", Duration::ZERO),
        Refusal::UpdateIdReused { .. } => ("UPDATE_ID_REUSED", Duration::ZERO),
        Refusal::LogFull { .. } => ("LOG_FULL", Duration::ZERO),
        Refusal::TooNew { .. } => ("NEEDS_UPGRADE", Duration::ZERO),
        Refusal::NotJoined { .. } => return reply(Outcome::Declined(Declined::Starting.into())),
        Refusal::Retired { .. } => return reply(Outcome::Declined(Declined::Leaving.into())),
    };
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_owned(),
        message: refusal.to_string(),
        retry_after_ms: retry_after.as_micros().div_ceil(1000) as u64,
        servers: Vec::new(),
    }))
}

pub(super) fn overloaded() -> ServeReply {
    reply(Outcome::Declined(Declined::Overloaded.into()))
}

pub(super) fn invalid(malformed: &Malformed) -> ServeReply {
    refused("INVALID", malformed)
}

pub(super) fn refused(reason: &str, error: &dyn std::error::Error) -> ServeReply {
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_owned(),
        message: error.to_string(),
        retry_after_ms: 0,
        servers: Vec::new(),
    }))
}

/// What an operator is shown, once it is written.
pub(super) fn shown<T>(told: Told<T>, outcome: impl FnOnce(T) -> Outcome) -> Told<ServeReply> {
    Told {
        what: reply(outcome(told.what)),
        after: told.after,
    }
}

/// What tells nothing that has to be written.
pub(super) fn at_once(what: ServeReply) -> Told<ServeReply> {
    Told {
        what,
        after: Position::default(),
    }
}

/// A reply that shows nothing of the value.
pub(super) fn reply(outcome: Outcome) -> ServeReply {
    ServeReply {
        outcome: Some(outcome),
        ..ServeReply::default()
    }
}
