//! Why a replica refuses a request.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use crate::{ReplicaId, Skew, UpdateId, executed::RUNS};

/// Why an update or a query was refused. The replica's state is unchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The update is dated too far ahead of this replica's clock.
    ClockAhead {
        /// After this long it would be accepted.
        retry_after: Duration,
    },
    /// The update is dated before this replica's [horizon](crate::Replica::horizon). It may
    /// be a retry of one that took effect and is forgotten: that cannot be told any more.
    TooLate {
        /// By how much.
        by: Duration,
    },
    /// `prev` claims updates of this replica that it never issued.
    ForgedTimestamp {
        /// This replica.
        replica: ReplicaId,
        /// What `prev` claims.
        claimed: u64,
        /// The highest number that was issued.
        issued: u64,
    },
    /// Another update has this id: same cid, other time or operation.
    UpdateIdReused {
        /// The id.
        id: UpdateId,
    },
    /// The updates of the session would leave more gaps between their sequence numbers than
    /// are remembered. It was not done.
    TooManyGaps {
        /// The update.
        id: UpdateId,
    },
    /// This replica is out: a later incarnation of its server has taken its place.
    Retired {
        /// This replica.
        replica: ReplicaId,
    },
    /// This replica's clock is too far from those of the others to be believed.
    Suspect {
        /// How far.
        skew: Skew,
    },
    /// This replica has started and does not know yet who takes part.
    NotJoined {
        /// This replica.
        replica: ReplicaId,
    },
    /// Some of those who remain do not understand such an update.
    TooNew {
        /// The version of records that they would have to understand.
        needs: u32,
        /// Their servers.
        servers: Vec<u32>,
    },
    /// The log is full of records that wait, and this one would wait too.
    LogFull {
        /// Records that wait.
        waiting: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockAhead { retry_after } => write!(
                f,
                "the update's time is ahead of the replica's clock; retry after {} ms",
                retry_after.as_millis()
            ),
            Self::TooLate { by } => write!(
                f,
                "the update comes {} ms too late; whether it took effect before is not known \
                 any more",
                by.as_millis()
            ),
            Self::ForgedTimestamp {
                replica,
                claimed,
                issued,
            } => write!(
                f,
                "the session claims update {claimed} of replica {replica}, which has issued {issued}"
            ),
            Self::UpdateIdReused { id } => {
                write!(
                    f,
                    "another update with other contents has the id {id}, so this one was not done; \
                     a session that was put back to an older state cannot go on: begin a new one"
                )
            }
            Self::TooManyGaps { id } => write!(
                f,
                "update {id} was not done: its session leaves {RUNS} gaps between the numbers of \
                 its updates; fill them, or go on with a new session"
            ),
            Self::Retired { replica } => {
                write!(
                    f,
                    "replica {replica} is out: its server has started anew or was retired"
                )
            }
            Self::Suspect { skew } => {
                write!(
                    f,
                    "the replica's clock is {skew}, compared with the others'; set it right"
                )
            }
            Self::NotJoined { replica } => write!(
                f,
                "replica {replica} has just started and has not joined the others yet"
            ),
            Self::TooNew { needs, servers } => {
                write!(
                    f,
                    "such an update needs version {needs} of records; upgrade"
                )?;
                for (at, server) in servers.iter().enumerate() {
                    let before = if at == 0 { "" } else { "," };
                    write!(f, "{before} server {server}")?;
                }
                f.write_str(" first, or retire it")
            }
            Self::LogFull { waiting } => write!(
                f,
                "{waiting} updates wait for others that have not come; there is no room for more"
            ),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use crate::{MalformedState, SessionId};

    #[test]
    fn each_refusal_says_what_is_wrong() {
        let replica = ReplicaId::new(1, 5);
        let retry_after = Duration::from_millis(250);
        let id = UpdateId::new(SessionId(10), 3);
        for (refusal, words) in [
            (
                Refusal::ClockAhead { retry_after },
                "the update's time is ahead of the replica's clock; retry after 250 ms",
            ),
            (
                Refusal::TooLate { by: retry_after },
                "the update comes 250 ms too late; whether it took effect before is not known \
                 any more",
            ),
            (
                Refusal::ForgedTimestamp {
                    replica,
                    claimed: 9,
                    issued: 4,
                },
                "the session claims update 9 of replica 1@5, which has issued 4",
            ),
            (
                Refusal::UpdateIdReused { id },
                "another update with other contents has the id \
                 0000000000000000000000000000000a:3, so this one was not done; a session that was \
                 put back to an older state cannot go on: begin a new one",
            ),
            (
                Refusal::TooManyGaps { id },
                "update 0000000000000000000000000000000a:3 was not done: its session leaves 1024 \
                 gaps between the numbers of its updates; fill them, or go on with a new session",
            ),
            (
                Refusal::Retired { replica },
                "replica 1@5 is out: its server has started anew or was retired",
            ),
            (
                Refusal::NotJoined { replica },
                "replica 1@5 has just started and has not joined the others yet",
            ),
            (
                Refusal::TooNew {
                    needs: 3,
                    servers: [2, 4].into(),
                },
                "such an update needs version 3 of records; upgrade server 2, server 4 first, or \
                 retire it",
            ),
            (
                Refusal::LogFull { waiting: 8 },
                "8 updates wait for others that have not come; there is no room for more",
            ),
        ] {
            assert_eq!(refusal.to_string(), words);
        }
        let hole = MalformedState::Hole { origin: replica };
        assert_eq!(
            hole.to_string(),
            "the log has a hole among the records of 1@5"
        );
        assert_eq!(
            MalformedState::ValueAhead.to_string(),
            "the value reflects records that were not received"
        );
    }
}
