//! The numbers of the servers, to complete what somebody types.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use backfence_client::{Client, Server};
use tokio::sync::Notify;

/// The servers that were seen last: none until then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Servers {
    known: Arc<Mutex<BTreeSet<u32>>>,
    wanted: Arc<Notify>,
}

impl Servers {
    pub(crate) fn set(&self, servers: &[Server]) {
        // Replaced as a whole, so a poisoned lock is fine.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = servers.iter().map(|server| server.server).collect();
    }

    /// Those that are known. Whoever wants them again gets those that there are now.
    pub(crate) fn numbers(&self) -> BTreeSet<u32> {
        self.wanted.notify_one();
        let known = self.known.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks which servers there are each time that somebody wants to know.
    pub(crate) async fn follow(&self, client: &Client) {
        let mut session = client.session();
        loop {
            self.wanted.notified().await;
            if let Ok(servers) = session.status().await {
                self.set(&servers);
            }
        }
    }
}
