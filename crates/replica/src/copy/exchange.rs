//! What peers are told and asked, and what is taken from them.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, MutexGuard},
};

use backfence_gossip::{
    MalformedState, Message, Offer, Record, ReplicaId, Scope, Time, Timestamp, Unbelievable,
};
use backfence_ratings::{Operation, Ratings};
use backfence_wire::ClusterId;
use tokio::{sync::Notify, task::yield_now, time::Instant};

use super::{Copy, Held, Linked, age::warn_of_late};
use crate::cluster::{Claim, Strangers};

/// Why nothing was taken of a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error(transparent)]
    Malformed(#[from] MalformedState),
    /// The cluster of this replica has another name since the stream began.
    #[error("the cluster has another name now; say Hello anew")]
    Renamed,
}

/// What a peer's clock showed as it said something; 0 where it does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Of one that this replica has sought out.
    Sought(Time),
    /// Of one that has called: anybody can.
    Called(Time),
}

/// Records that are taken before whoever waits for the core gets it.
const PART: usize = 256;

impl Copy {
    /// Has what `prev` asks for and the value lacks pulled from peers, at once.
    pub(crate) fn pull(&self, prev: &Timestamp) {
        let sources = self.held().replica.sources(prev);
        self.ask(&sources);
    }

    /// Has everything pulled from these peers, at once, where there is a stream to them.
    pub(crate) fn ask(&self, peers: &[ReplicaId]) {
        let pulls = self.pulls();
        for linked in peers.iter().filter_map(|peer| pulls.get(peer)) {
            linked.pull.notify_one();
        }
    }

    /// Notes that a peer has answered a call that was sent then.
    pub(crate) fn heard(&self, peer: ReplicaId, sent: Instant) {
        if let Some(linked) = self.pulls().get_mut(&peer) {
            linked.answered = Some(sent);
        }
    }

    /// When the last call was sent that a peer has answered. `None` where there is no
    /// stream to it.
    pub(crate) fn answered(&self, peer: ReplicaId) -> Option<Instant> {
        self.pulls().get(&peer)?.answered
    }

    /// Has everything pulled from every peer with a stream, and pushed to it, at once.
    /// These are they.
    pub(crate) fn pull_all(&self) -> Vec<ReplicaId> {
        let pulls = self.pulls();
        pulls.values().for_each(|linked| linked.pull.notify_one());
        pulls.keys().copied().collect()
    }

    /// What to send to a peer, when it may be told.
    pub(crate) async fn message(&self, peer: ReplicaId, scope: Scope) -> Message<Ratings> {
        self.when_written(|replica| replica.message(peer, scope))
            .await
    }

    /// A report, when it may be told.
    pub(crate) async fn report(&self) -> Message<Ratings> {
        self.when_written(|replica| Message::Offer(replica.report()))
            .await
    }

    /// Whether a peer lacks something, be it records or the news of a member.
    pub(crate) fn has_news_for(&self, peer: ReplicaId, scope: Scope) -> bool {
        let replica = &self.held().replica;
        replica.has_news_for(peer, scope) || !replica.knows_all(peer)
    }

    /// What a peer last reported: its records, and whether it knows every member.
    pub(crate) fn reported(&self, peer: ReplicaId) -> (Option<Timestamp>, bool) {
        let replica = &self.held().replica;
        (replica.reported(peer).cloned(), replica.knows_all(peer))
    }

    /// Takes a message of a peer, part by part. Whatever it brings, held queries ask again:
    /// also a retirement that comes to count may set them free. Whether it brought records
    /// that are new here.
    ///
    /// # Errors
    ///
    /// [`NotTaken`], also where this replica is not of the `cluster` any more that was agreed
    /// upon when the stream began.
    pub(crate) async fn receive(
        &self,
        cluster: ClusterId,
        message: Message<Ratings>,
        clock: Clock,
    ) -> Result<bool, NotTaken> {
        let mut offer = match message {
            Message::Offer(offer) if offer.records.len() > PART => offer,
            other => return self.take(cluster, other, clock),
        };
        let mut records = mem::take(&mut offer.records).into_iter();
        let mut is_news = false;
        while records.len() > 0 {
            // As if the peer had sent so many, and had more.
            let records = records.by_ref().take(PART).collect();
            let part = Offer {
                records,
                ..offer.clone()
            };
            is_news |= self.take(cluster, Message::Offer(part), clock)?;
            yield_now().await;
        }
        Ok(is_news)
    }

    fn take(
        &self,
        cluster: ClusterId,
        message: Message<Ratings>,
        clock: Clock,
    ) -> Result<bool, NotTaken> {
        let (now, from) = (self.now(), message.from());
        let mut held = self.held();
        if held.cluster.id() != cluster {
            return Err(NotTaken::Renamed);
        }
        let Held {
            replica, unwritten, ..
        } = &mut *held;
        let kept = match (&message, &unwritten) {
            (Message::Offer(offer), Some(_)) => offer.records.clone(),
            _ => Vec::new(),
        };
        match clock {
            Clock::Sought(theirs) => replica.hear_clock(from, theirs, now),
            // It does not decide who else is right, but one that joins needs somebody to go by.
            Clock::Called(theirs) if !replica.has_joined() => {
                replica.hear_clock(from, theirs, now);
            }
            Clock::Called(_) => {}
        }
        let received = replica.receive(message, now);
        if let (Ok(received), Some(unwritten)) = (&received, unwritten) {
            let is_new = |record: &Record<Operation>| {
                let mut accepted = received.accepted.iter();
                accepted.any(|(origin, numbers)| {
                    *origin == record.origin() && numbers.contains(&record.number())
                })
            };
            kept.into_iter()
                .filter(is_new)
                .for_each(|record| unwritten.received(record));
            if received.met {
                unwritten.met(replica);
            }
            if received.joined {
                unwritten.joined();
            }
        }
        self.tell_identity(&mut held);
        let clocks = (held.replica.suspect(now), held.replica.suspects(now));
        drop(held);
        self.complain(clocks);
        if let Ok(received) = &received {
            warn_of_late(&received.late);
            self.warn_of_ahead(received);
        }
        self.wake_disk();
        self.grown.send_replace(());
        if received.as_ref().is_ok_and(|received| received.heard) {
            self.news.send_replace(());
        }
        Ok(!received?.accepted.is_empty())
    }

    /// Whether a peer that says who it is can be one, before it is met.
    ///
    /// # Errors
    ///
    /// [`Unbelievable`].
    pub(crate) fn may_be(&self, peer: ReplicaId) -> Result<(), Unbelievable> {
        self.held().replica.may_be(peer)
    }

    /// Hears of a peer that opens a stream, which version of records it understands, and
    /// which cluster it belongs to. Gives that of this replica now.
    ///
    /// # Errors
    ///
    /// [`Strangers`], and it is not met.
    pub(crate) fn meet(
        &self,
        peer: ReplicaId,
        newest: u32,
        claim: &Claim,
    ) -> Result<ClusterId, Strangers> {
        let mut held = self.held();
        let (_, standing) = held.cluster();
        let has_changed = held.cluster.meet(standing, claim)?;
        let cluster = held.cluster.id();
        if held.replica.meet([peer]) {
            held.note_members();
        }
        held.replica.understands(peer, newest);
        self.tell_identity(&mut held);
        drop(held);
        if has_changed {
            tracing::info!(cluster = %claim.id, "goes along with a cluster");
        }
        self.wake_disk();
        self.grown.send_replace(());
        Ok(cluster)
    }

    /// Lets the stream to `peer`, which has said what it has, be told to pull, until the
    /// entry is taken out.
    pub(crate) fn link(&self, peer: ReplicaId) -> Arc<Notify> {
        let pull = self.pulls().entry(peer).or_default().pull.clone();
        self.linked.notify_one();
        pull
    }

    /// Waits for the next stream.
    pub(crate) async fn linked(&self) {
        self.linked.notified().await;
    }

    /// The stream to `peer` has ended.
    pub(crate) fn unlink(&self, peer: ReplicaId) {
        self.pulls().remove(&peer);
        // Who retires that server waits for this.
        self.grown.send_replace(());
    }

    pub(super) fn pulls(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Linked>> {
        self.pulls
            .lock()
            .expect("a map of peers cannot be half-changed")
    }
}
