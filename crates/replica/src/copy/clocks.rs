//! What the operator is told of clocks that are wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use backfence_gossip::{Received, ReplicaId, Skew};

use super::Copy;

/// Whose clock the log has named, until it is right again.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    own: bool,
    peers: BTreeSet<u32>,
    /// Servers of which records are held.
    held: BTreeSet<u32>,
}

impl Copy {
    /// Names, once, who is apart: this server, or others.
    pub(super) fn complain(&self, (own, peers): (Option<Skew>, Vec<(ReplicaId, Skew)>)) {
        let mut said = self.complaints();
        let server = self.id.server;
        match own {
            Some(skew) if !said.own => tracing::error!(
                server,
                "the clock of this server is {skew} of the others': it declines requests until \
                 that is set right"
            ),
            None if said.own => tracing::info!(server, "the clock of this server is right again"),
            _ => {}
        }
        said.own = own.is_some();
        // By a clock that is wrong, all others are.
        let peers = if own.is_some() { Vec::new() } else { peers };
        let peers: BTreeMap<_, _> = peers
            .into_iter()
            .map(|(peer, skew)| (peer.server, skew))
            .collect();
        for (server, skew) in &peers {
            if !said.peers.contains(server) {
                tracing::warn!(
                    server,
                    "the clock of server {server} is {skew} of the others'"
                );
            }
        }
        said.peers = peers.into_keys().collect();
    }

    /// Names the servers of which something is dated far ahead.
    pub(super) fn warn_of_ahead(&self, received: &Received) {
        if let Some((origin, skew)) = received.ahead {
            tracing::warn!(
                server = origin.server,
                "an update that server {} took is dated {skew} of this server's clock",
                origin.server
            );
        }
        for origin in &received.held {
            if self.complaints().held.insert(origin.server) {
                tracing::warn!(
                    server = origin.server,
                    "what server {} took is dated more than a day ahead, and waits until then; \
                     if its clock was wrong, retire it with --force, and what only it has is lost",
                    origin.server
                );
            }
        }
    }

    /// A panic leaves it as good as ever.
    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
