//! What a server says of itself when a stream to it begins.

use std::sync::{Arc, Mutex};

use backfence_process::Name;
use backfence_wire::{
    ClusterId, Versions,
    v1::{self, ClusterStanding},
};

use crate::{
    clusters::{Clusters, Heard},
    lock,
};

/// What one server has said of itself, for its link and for whoever asks.
#[derive(Debug)]
pub(crate) struct Said {
    server: Name,
    key: u64,
    /// Held for one look or change, never across an await.
    clusters: Arc<Mutex<Clusters>>,
    fingerprint: Mutex<String>,
}

impl Said {
    /// Of a server that has said nothing yet.
    pub(crate) fn new(server: Name, clusters: &Arc<Mutex<Clusters>>) -> Self {
        Self {
            server,
            key: lock(clusters).enter(),
            clusters: Arc::clone(clusters),
            fingerprint: Mutex::default(),
        }
    }

    /// What this front end says first.
    pub(crate) fn hello() -> v1::Hello {
        v1::Hello {
            wire: Some(Versions::OWN.into()),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            ..v1::Hello::default()
        }
    }

    /// Takes in a server's Hello. Whether the server may be asked: it is of the cluster that
    /// this front end serves.
    pub(crate) fn hear(&self, hello: v1::Hello) -> bool {
        // Also where a later version brings another.
        let is_settled = hello.standing > i32::from(ClusterStanding::Candidate);
        let cluster = ClusterId::try_from(&hello.cluster[..]).ok();
        let cluster = cluster.filter(|_| is_settled);
        lock(&self.fingerprint).clone_from(&hello.fingerprint);
        let (server, heard) = (&self.server, lock(&self.clusters).hear(self.key, cluster));
        if let (Heard::Foreign { served, is_news }, Some(cluster)) = (heard, cluster)
            && is_news
        {
            tracing::error!(
                %server,
                "it belongs to cluster {cluster}, and this front end serves cluster {served}: \
                 passing it over; give each cluster a registry of its own"
            );
        }
        heard == Heard::Ours
    }

    /// Of the data that the server has loaded; empty where it has not said it.
    pub(crate) fn fingerprint(&self) -> String {
        lock(&self.fingerprint).clone()
    }

    /// The cluster of the server, where it is another than the one that is served.
    pub(crate) fn foreign(&self) -> Option<ClusterId> {
        lock(&self.clusters).foreign(self.key)
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        lock(&self.clusters).forget(self.key);
    }
}
