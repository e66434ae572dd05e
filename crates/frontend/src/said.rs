//! What a server says of itself when a stream to it begins.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use backfence_process::{Name, Unproved};
use backfence_wire::{
    ClusterId, Versions,
    v1::{self, ClusterStanding},
};

use tonic::{Code, Status};

use crate::{
    clusters::{Clusters, Heard, Home},
    lock,
};

/// What one server has said of itself, for its link and for whoever asks.
#[derive(Debug)]
pub(crate) struct Said {
    server: Name,
    key: u64,
    /// Held for one look or change, never across an await.
    clusters: Arc<Mutex<Clusters>>,
    /// It has been logged that it does not prove itself, or refuses this front end.
    complained: AtomicBool,
}

impl Said {
    /// Of a server that has said nothing yet.
    pub(crate) fn new(server: Name, clusters: &Arc<Mutex<Clusters>>) -> Self {
        Self {
            server,
            key: lock(clusters).enter(),
            clusters: Arc::clone(clusters),
            complained: AtomicBool::new(false),
        }
    }

    /// The server does not prove that it is of the cluster.
    pub(crate) fn unproved(&self, why: Unproved) {
        self.complain(&why.between("this front end", &self.server));
    }

    /// The server has ended a stream, perhaps since this front end does not prove that it is of
    /// the cluster.
    pub(crate) fn refuses(&self, status: &Status) {
        if status.code() == Code::Unauthenticated {
            self.complain(status.message());
        }
    }

    /// Once, until it says Hello as it should.
    fn complain(&self, why: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::error!(server = %self.server, "passing it over: {why}");
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
    /// this front end serves, or may come to be.
    pub(crate) fn hear(&self, hello: v1::Hello) -> bool {
        self.complained.store(false, Ordering::Relaxed);
        // Also where a later version brings another.
        let is_settled = hello.standing > i32::from(ClusterStanding::Candidate);
        let cluster = ClusterId::try_from(&hello.cluster[..]).ok();
        let home = Home {
            cluster: cluster.filter(|_| is_settled),
            fingerprint: hello.fingerprint,
        };
        let (server, heard) = (&self.server, lock(&self.clusters).hear(self.key, home));
        match (heard, cluster) {
            (Heard::Foreign { is_news: true, .. }, _) if self.has_other_data() => tracing::error!(
                %server,
                fingerprint = self.fingerprint(),
                "it has loaded other data than the cluster that this front end serves: passing it \
                 over; start it with the same files, or give it a registry of its own"
            ),
            (
                Heard::Foreign {
                    served,
                    is_news: true,
                },
                Some(cluster),
            ) => tracing::error!(
                %server,
                "it belongs to cluster {cluster}, and this front end serves cluster {served}: \
                 passing it over; give each cluster a registry of its own"
            ),
            _ => {}
        }
        heard == Heard::Ours
    }

    /// Of the data that the server has loaded; empty where it has not said it.
    pub(crate) fn fingerprint(&self) -> String {
        lock(&self.clusters).fingerprint(self.key).to_owned()
    }

    /// Whether the server may be asked about movies of the data with this fingerprint, if one
    /// is given. What it has not said it tells itself.
    pub(crate) fn has_data(&self, fingerprint: &str) -> bool {
        let clusters = lock(&self.clusters);
        let own = clusters.fingerprint(self.key);
        fingerprint.is_empty() || own.is_empty() || own == fingerprint
    }

    /// Whether no cluster is served yet, and the server differs in its data from another.
    pub(crate) fn is_differing(&self) -> bool {
        lock(&self.clusters).differing().contains(&self.key)
    }

    /// Whether the server has other data than the cluster that is served.
    pub(crate) fn has_other_data(&self) -> bool {
        lock(&self.clusters).has_other_data(self.key)
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
