//! What clients are told when a request fails.

use std::collections::HashMap;

use backfence_gossip::ReplicaId;
use backfence_wire::{Reason, v1::Refused};
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{guard::Denied, pass::Unserved, seal::NotOurs};

const DOMAIN: &str = "backfence";

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum Error {
    #[error("All servers are currently busy, please try again later")]
    AllBusy,
    #[error(
        "what your session has seen is not on any server that answers: update {number} of server \
         {} (incarnation {}) is missing", .origin.server, .origin.incarnation
    )]
    Behind { origin: ReplicaId, number: u64 },
    #[error(
        "no server has confirmed the update, but one may have taken it; to settle it, send it \
         again with the same update_id and time_us"
    )]
    OutcomeUnknown,
    #[error("there is no server {asked}; there {}", listed(.known))]
    UnknownServer { asked: u32, known: Vec<u32> },
    #[error("server {0} does not answer; please try again later")]
    ServerAway(u32),
    #[error("server {0} is down; start it again, or retire it for good")]
    ServerDown(u32),
    #[error("{field}: {why}")]
    Invalid { field: &'static str, why: String },
    #[error(
        "the session token is refused: {0}; begin a new session, with no token, which has no past \
         (`backfence session reset`)"
    )]
    BadToken(NotOurs),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{}", .0.message)]
    Refused(Refused),
    #[error("a server gave an answer that fits no such request; is it of another version?")]
    WrongAnswer,
}

impl Error {
    pub(crate) fn invalid(field: &'static str, why: impl ToString) -> Self {
        let why = why.to_string();
        Self::Invalid { field, why }
    }

    /// A replica's reason is passed on as it is: it may be one of a later version.
    fn reason(&self) -> &str {
        let reason = match self {
            Self::AllBusy => Reason::AllBusy,
            Self::ServerAway(_) | Self::ServerDown(_) => Reason::ServerAway,
            Self::Behind { .. } => Reason::Behind,
            Self::OutcomeUnknown => Reason::OutcomeUnknown,
            Self::UnknownServer { .. } => Reason::UnknownServer,
            Self::Invalid { .. } => Reason::Invalid,
            Self::BadToken(NotOurs::OtherKey { .. }) => Reason::OtherClusterKey,
            Self::BadToken(_) => Reason::BadToken,
            Self::Denied(denied) => denied.reason(),
            Self::Refused(refused) => return &refused.reason,
            Self::WrongAnswer => Reason::WrongAnswer,
        };
        reason.as_str()
    }

    fn metadata(&self) -> HashMap<String, String> {
        let pairs = match self {
            Self::Behind { origin, number } => vec![
                ("server", origin.server.to_string()),
                ("incarnation", origin.incarnation.to_string()),
                ("number", number.to_string()),
            ],
            Self::UnknownServer { known, .. } => vec![("servers", joined(known, ","))],
            Self::Refused(refused) => match Reason::read(&refused.reason) {
                Some(Reason::ClockAhead) => {
                    vec![("retry_after_ms", refused.retry_after_ms.to_string())]
                }
                Some(Reason::NeedsUpgrade) => vec![("servers", joined(&refused.servers, ","))],
                Some(Reason::OtherData) => vec![("server", joined(&refused.servers, ","))],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let owned = |(key, value): (&str, _)| (key.to_owned(), value);
        pairs.into_iter().map(owned).collect()
    }
}

impl From<Unserved> for Error {
    fn from(unserved: Unserved) -> Self {
        match unserved {
            Unserved::OutcomeUnknown => Self::OutcomeUnknown,
            Unserved::Behind { origin, number } => Self::Behind { origin, number },
            Unserved::AllBusy => Self::AllBusy,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let details = ErrorDetails::with_error_info(reason, DOMAIN, error.metadata());
        let code = Reason::read(reason).map_or(Code::Internal, Reason::code);
        Self::with_error_details(code, error.to_string(), details)
    }
}

fn listed(known: &[u32]) -> String {
    match known {
        [] => "is none at all at the moment".to_owned(),
        [one] => format!("is {one}"),
        several => format!("are {}", joined(several, ", ")),
    }
}

fn joined(numbers: &[u32], separator: &str) -> String {
    let texts: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    texts.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_reason_code_and_metadata() {
        let check = |error: Error, code: Code, message: &str, metadata: &[(&str, &str)]| {
            let reason = error.reason().to_owned();
            let status = Status::from(error);
            assert_eq!(status.code(), code);
            assert_eq!(status.message(), message);
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.domain.as_str(), info.reason), (DOMAIN, reason));
            let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            assert_eq!(info.metadata, metadata.iter().map(owned).collect());
        };
        check(
            Error::AllBusy,
            Code::Unavailable,
            "All servers are currently busy, please try again later",
            &[],
        );
        check(
            Error::Behind {
                origin: ReplicaId::new(2, 77),
                number: 17,
            },
            Code::DeadlineExceeded,
            "what your session has seen is not on any server that answers: update 17 of server 2 \
             (incarnation 77) is missing",
            &[("server", "2"), ("incarnation", "77"), ("number", "17")],
        );
        check(
            Error::UnknownServer {
                asked: 9,
                known: vec![1, 3],
            },
            Code::NotFound,
            "there is no server 9; there are 1, 3",
            &[("servers", "1,3")],
        );
        check(
            Error::invalid("rating", "ratings go from 0 to 5"),
            Code::InvalidArgument,
            "rating: ratings go from 0 to 5",
            &[],
        );
        let refused = |reason: &str, retry_after_ms| {
            Error::Refused(Refused {
                reason: reason.to_owned(),
                message: "no".to_owned(),
                retry_after_ms,
                servers: Vec::new(),
            })
        };
        let retry = [("retry_after_ms", "250")];
        check(
            refused("CLOCK_AHEAD", 250),
            Code::FailedPrecondition,
            "no",
            &retry,
        );
        let at_once = [("retry_after_ms", "0")];
        let ahead = refused("CLOCK_AHEAD", 0);
        check(ahead, Code::FailedPrecondition, "no", &at_once);
        check(
            Error::ServerAway(2),
            Code::Unavailable,
            "server 2 does not answer; please try again later",
            &[],
        );
        check(
            Error::ServerDown(3),
            Code::Unavailable,
            "server 3 is down; start it again, or retire it for good",
            &[],
        );
        check(refused("UNKNOWN_MOVIE", 0), Code::NotFound, "no", &[]);
        check(
            refused("FORGED_TIMESTAMP", 0),
            Code::FailedPrecondition,
            "no",
            &[],
        );
        check(
            refused("UPDATE_ID_REUSED", 0),
            Code::AlreadyExists,
            "no",
            &[],
        );
        let too_new = Error::Refused(Refused {
            reason: "NEEDS_UPGRADE".to_owned(),
            message: "upgrade".to_owned(),
            retry_after_ms: 0,
            servers: vec![2, 3],
        });
        let too_old = [("servers", "2,3")];
        check(too_new, Code::FailedPrecondition, "upgrade", &too_old);
        check(refused("TOO_LATE", 0), Code::FailedPrecondition, "no", &[]);
        check(refused("LOG_FULL", 0), Code::ResourceExhausted, "no", &[]);
        check(refused("SOMETHING_NEW", 0), Code::Internal, "no", &[]);
    }
}
