//! What a request waits for, for those who watch.

use std::fmt;

use backfence_process::Address;
use tokio::sync::watch;

use crate::Error;

/// What a request is waiting for. Prints as `update 17 of server 1`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Waiting {
    /// A front end to answer.
    #[default]
    ForAnswer,
    /// A replica that has this update, which the session has seen.
    ForUpdate {
        /// The server that made it.
        server: u32,
        /// Its number there.
        number: u64,
    },
    /// A front end that can be connected to; this is the one that failed last.
    ForFrontEnd {
        /// Where it was looked for.
        address: Address,
    },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForAnswer => f.write_str("an answer"),
            Self::ForUpdate { server, number } => write!(f, "update {number} of server {server}"),
            Self::ForFrontEnd { address } => write!(f, "a front end; none answers at {address}"),
        }
    }
}

/// Where a session's requests tell what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Progress(watch::Sender<Waiting>);

impl Progress {
    pub(crate) fn watch(&self) -> watch::Receiver<Waiting> {
        self.0.subscribe()
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn now(&self, waiting: Waiting) {
        self.0.send_replace(waiting);
    }

    pub(crate) fn behind(&self, error: &Error) {
        if let Error::Behind { server, number, .. } = *error {
            self.now(Waiting::ForUpdate { server, number });
        }
    }
}
