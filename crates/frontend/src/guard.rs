//! Who may call what.

use backfence_gossip::Time;
use backfence_process::{BadToken, ClusterKey, Connection, Role, role};
use backfence_wire::Reason;
use thiserror::Error;
use tonic::metadata::MetadataMap;

/// What a call that is for operators does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// It only reads.
    Read,
    /// It takes a server offline, or back.
    ChangeStatus,
    /// It has servers do something, or retires one.
    Control,
}

/// Decides who may call what.
#[derive(Debug)]
pub(crate) struct Guard {
    key: Option<ClusterKey>,
    /// Whether the front end listens where this machine alone reaches it.
    is_local: bool,
}

/// Why a call is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum Denied {
    #[error(
        "this is for operators: pass the cluster's key, with --cluster-key FILE or \
         BACKFENCE_CLUSTER_KEY (other programs: a token, see operator.proto)"
    )]
    NoToken,
    #[error(
        "nobody is an operator here, since this front end has no cluster key; start all programs \
         of the cluster with --cluster-key FILE, and pass the same"
    )]
    NoKey,
    #[error(transparent)]
    BadToken(#[from] BadToken),
}

impl Denied {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::NoToken | Self::NoKey => Reason::NoOperatorToken,
            Self::BadToken(bad) => bad.reason(),
        }
    }
}

impl Guard {
    pub(crate) const fn new(key: Option<ClusterKey>, is_local: bool) -> Self {
        Self { key, is_local }
    }

    /// Whether who calls with this metadata may do it.
    pub(crate) fn allows(&self, act: Act, metadata: &MetadataMap, now: Time) -> Result<(), Denied> {
        let key = self.key.as_ref();
        // No program of the cluster calls a front end.
        let proven = false;
        match role(&Connection { key, proven, now }, metadata)? {
            Role::Operator => Ok(()),
            _ if key.is_some() => Err(Denied::NoToken),
            _ if act != Act::Control && self.is_local => Ok(()),
            _ => Err(Denied::NoKey),
        }
    }
}

#[cfg(test)]
mod tests {
    use backfence_process::authorization;

    use super::*;

    const NOW: Time = Time(1_767_225_600_000_000);

    #[test]
    fn who_may_call_what() {
        let key = || ClusterKey::new(&[1; ClusterKey::SHORTEST]);
        let token = |byte, now| {
            let mut metadata = MetadataMap::new();
            let key = ClusterKey::new(&[byte; ClusterKey::SHORTEST]);
            let value = authorization(&key.expect("it is long enough"), now);
            metadata.insert("authorization", value);
            metadata
        };
        let callers = [
            ("nobody", MetadataMap::new()),
            ("an operator", token(1, NOW)),
            ("a stranger", token(2, NOW)),
            ("a ghost", token(1, Time(0))),
        ];
        let (yes, none) = ("", "NO_OPERATOR_TOKEN");
        let (bad, old) = ("BAD_OPERATOR_TOKEN", "EXPIRED_OPERATOR_TOKEN");
        for (act, key, is_local, expected) in [
            (Act::Read, key(), true, [none, yes, bad, old]),
            (Act::Read, key(), false, [none, yes, bad, old]),
            (Act::ChangeStatus, key(), true, [none, yes, bad, old]),
            (Act::Control, key(), true, [none, yes, bad, old]),
            (Act::Read, None, true, [yes; 4]),
            (Act::Read, None, false, [none; 4]),
            (Act::ChangeStatus, None, true, [yes; 4]),
            (Act::ChangeStatus, None, false, [none; 4]),
            (Act::Control, None, true, [none; 4]),
            (Act::Control, None, false, [none; 4]),
        ] {
            let guard = Guard::new(key, is_local);
            for ((who, metadata), expected) in callers.iter().zip(expected) {
                let allowed = guard.allows(act, metadata, NOW);
                let reason = allowed.map_or_else(|why| why.reason().as_str(), |()| "");
                assert_eq!(reason, expected, "{act:?} by {who}, {guard:?}");
            }
        }
    }
}
