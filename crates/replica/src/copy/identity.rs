//! Who this replica is, as it tells others: its life, its cluster, what it speaks.

use std::{mem, sync::atomic::Ordering};

use backfence_gossip::Skew;
use backfence_wire::{ClusterId, Versions, v1};
use tokio::sync::watch;

use super::{Copy, Held, Told, status};
use crate::{members, unwritten::Unwritten};

/// The version of this program.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Which cluster a replica belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    /// It has joined, or founded.
    is_settled: bool,
}

impl Copy {
    /// The cluster of this replica, at each change.
    pub(crate) fn identity(&self) -> watch::Receiver<Identity> {
        self.identity.subscribe()
    }

    /// The cluster of this replica.
    pub(crate) fn cluster(&self) -> ClusterId {
        self.identity.borrow().cluster
    }

    /// Waits until it belongs to another cluster than this.
    pub(crate) async fn left(&self, cluster: ClusterId) {
        let mut identity = self.identity();
        // The sender lives in this copy.
        let _ = identity.wait_for(|now| now.cluster != cluster).await;
    }

    /// A second has passed for the cluster.
    pub(super) fn grow_older(&self) {
        let mut held = self.held();
        let Held {
            cluster, replica, ..
        } = &mut *held;
        cluster.age(replica);
    }

    /// Has others told which cluster this replica belongs to, where that has changed, once
    /// the disk has it.
    pub(super) fn tell_identity(&self, held: &mut Held) {
        held.note_cluster();
        let now = held.identity();
        self.identity.send_if_modified(|told| {
            let before = mem::replace(told, now);
            before != now
        });
    }

    /// Which versions of the wire this replica speaks.
    pub(crate) fn versions(&self) -> Versions {
        self.held().versions(self.newest)
    }

    /// Who this is. It may be told when the disk has the cluster's name.
    pub(crate) fn hello(&self) -> Told<v1::Hello> {
        let held = self.held();
        let (cluster, standing) = held.cluster();
        let what = v1::Hello {
            id: Some(self.id.into()),
            fingerprint: self.fingerprint.clone(),
            address: self.address.to_string(),
            cluster: cluster.0.into(),
            standing: standing.into(),
            wire: Some(held.versions(self.newest).into()),
            build: BUILD.to_owned(),
            ..v1::Hello::default()
        };
        let named = held.unwritten.as_ref().map(Unwritten::named);
        let after = named.unwrap_or_default();
        drop(held);
        self.wake_disk();
        Told { what, after }
    }

    /// The same for who asks with this nonce, and proved to it.
    pub(crate) fn describe_to(&self, nonce: &[u8]) -> v1::DescribeResponse {
        let description = self.describe();
        v1::DescribeResponse {
            proof: self.key.prove(&self.address, nonce, &description),
            ..description
        }
    }

    /// Who this is and what it has.
    pub(crate) fn describe(&self) -> v1::DescribeResponse {
        let now = self.now();
        let held = self.held();
        let replica = &held.replica;
        let state = v1::ReplicaState {
            id: Some(self.id.into()),
            value_ts: Some(replica.value_ts().into()),
            replica_ts: Some(replica.replica_ts().into()),
            log_len: replica.log_len() as u64,
            waiting: replica.waiting_len() as u64,
        };
        let (cluster, standing) = held.cluster();
        v1::DescribeResponse {
            state: Some(state),
            status: status(self.offline.load(Ordering::Relaxed)).into(),
            fingerprint: self.fingerprint.clone(),
            members: replica.members().map(Into::into).collect(),
            known: members::known(replica),
            cluster: cluster.0.into(),
            standing: standing.into(),
            wire: Some(held.versions(self.newest).into()),
            build: BUILD.to_owned(),
            speaks: replica.speaks(),
            proof: None,
            now_us: now.0,
            clock_off_us: replica.suspect(now).map_or(0, Skew::micros),
        }
    }
}

impl Held {
    /// Has the cluster written, where the disk does not have it.
    pub(super) fn note_cluster(&mut self) {
        let (_, standing) = self.cluster();
        if let Some(unwritten) = &mut self.unwritten
            && let Some(cluster) = self.cluster.take_unwritten(standing)
        {
            unwritten.belongs(cluster);
        }
    }

    pub(super) fn identity(&self) -> Identity {
        let (cluster, standing) = self.cluster();
        Identity {
            cluster,
            is_settled: standing > v1::ClusterStanding::Candidate,
        }
    }

    /// The cluster of this replica, and how firmly it belongs to it.
    pub(super) fn cluster(&self) -> (ClusterId, v1::ClusterStanding) {
        (self.cluster.id(), self.cluster.standing(&self.replica))
    }

    /// Those who cannot read what was received speak to this replica no more.
    fn versions(&self, newest: u32) -> Versions {
        Versions {
            oldest: self.replica.needs().max(Versions::OWN.oldest),
            newest,
        }
    }
}
