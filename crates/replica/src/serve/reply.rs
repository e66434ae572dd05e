//! Replies, as a front end reads them.

use backfence_gossip::{Refusal, ReplicaId};
use backfence_wire::{
    Malformed, Reason,
    v1::{self, Declined, ServeReply, serve_reply::Outcome},
};

use crate::{copy::Told, unwritten::Position};

pub(super) fn wire_ids(replicas: &[ReplicaId]) -> Vec<v1::ReplicaId> {
    replicas.iter().map(|&replica| replica.into()).collect()
}

pub(super) fn refuse(refusal: &Refusal) -> ServeReply {
    let (mut retry_after_ms, mut servers) = (0, Vec::new());
    let reason = match refusal {
        Refusal::ClockAhead { retry_after } => {
            retry_after_ms = retry_after.as_micros().div_ceil(1000) as u64;
            Reason::ClockAhead
        }
        Refusal::TooLate { .. } => Reason::TooLate,
        Refusal::ForgedTimestamp { .. } => Reason::ForgedTimestamp,
        Refusal::UpdateIdReused { .. } => Reason::UpdateIdReused,
        Refusal::TooManyGaps { .. } => Reason::TooManyGaps,
        Refusal::LogFull { .. } => Reason::LogFull,
        Refusal::TooNew { servers: old, .. } => {
            servers.clone_from(old);
            Reason::NeedsUpgrade
        }
        Refusal::NotJoined { .. } => return reply(Outcome::Declined(Declined::Starting.into())),
        Refusal::Retired { .. } => return reply(Outcome::Declined(Declined::Leaving.into())),
        Refusal::Suspect { .. } => return reply(Outcome::Declined(Declined::Clock.into())),
    };
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_string(),
        message: refusal.to_string(),
        retry_after_ms,
        servers,
    }))
}

pub(super) fn overloaded() -> ServeReply {
    reply(Outcome::Declined(Declined::Overloaded.into()))
}

pub(super) fn invalid(malformed: &Malformed) -> ServeReply {
    refused(Reason::Invalid, malformed)
}

pub(super) fn refused(reason: Reason, error: &dyn std::error::Error) -> ServeReply {
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_string(),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backfence_gossip::{SessionId, Skew, UpdateId};

    use super::*;

    #[test]
    fn a_refusal_names_its_reason_and_what_belongs_to_it() {
        let check = |refusal: Refusal, reason: Reason, retry_after_ms, servers: &[u32]| {
            let expected = v1::Refused {
                reason: reason.to_string(),
                message: refusal.to_string(),
                retry_after_ms,
                servers: servers.to_vec(),
            };
            assert_eq!(refuse(&refusal), reply(Outcome::Refused(expected)));
        };
        let replica = ReplicaId::new(1, 10);
        // It would be too early to come back after what is rounded down.
        let retry_after = Duration::from_micros(249_001);
        check(
            Refusal::ClockAhead { retry_after },
            Reason::ClockAhead,
            250,
            &[],
        );
        let by = Duration::from_secs(1);
        check(Refusal::TooLate { by }, Reason::TooLate, 0, &[]);
        check(
            Refusal::ForgedTimestamp {
                replica,
                claimed: 2,
                issued: 1,
            },
            Reason::ForgedTimestamp,
            0,
            &[],
        );
        let id = UpdateId::new(SessionId(1), 1);
        check(
            Refusal::UpdateIdReused { id },
            Reason::UpdateIdReused,
            0,
            &[],
        );
        check(Refusal::TooManyGaps { id }, Reason::TooManyGaps, 0, &[]);
        check(Refusal::LogFull { waiting: 9 }, Reason::LogFull, 0, &[]);
        let (needs, servers) = (2, vec![1, 3]);
        check(
            Refusal::TooNew { needs, servers },
            Reason::NeedsUpgrade,
            0,
            &[1, 3],
        );
        let skew = Skew {
            ahead: true,
            by: Duration::from_secs(3600),
        };
        for (refusal, declined) in [
            (Refusal::NotJoined { replica }, Declined::Starting),
            (Refusal::Retired { replica }, Declined::Leaving),
            (Refusal::Suspect { skew }, Declined::Clock),
        ] {
            let expected = reply(Outcome::Declined(declined.into()));
            assert_eq!(refuse(&refusal), expected);
        }
    }
}
