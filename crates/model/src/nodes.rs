//! What replicas do, and what befalls them.

use std::sync::atomic::Ordering::Relaxed;

use backfence_gossip::{Message, Replica, ReplicaId, Scope, State};

use crate::{
    action::Content,
    judge::{Invariant, Violation, caught, check_growth, check_value, grows},
    model::{Step, System},
    requests::NOW,
    state::{Cluster, Node, Packet},
    tally::Tally,
};

impl System {
    /// Gives a message to whoever it is addressed to. Says whether that changed
    /// anything.
    pub(crate) fn deliver(&self, next: &mut Cluster, packet: &Packet) -> Result<bool, Violation> {
        let at = usize::from(packet.to);
        let before = next.nodes[at].replica.clone();
        let message = Message::clone(&packet.message);
        let received = self
            .touch(next, at, |replica| replica.receive(message, NOW))?
            .map_err(|error| {
                let what = format!("{} refuses a state: {error}", before.id());
                Violation::new(Invariant::Sound, what)
            })?;
        if received.ignored > 0 {
            self.events.ignored.fetch_add(1, Relaxed);
        }
        if received.joined && self.setup.never_transfers() {
            let what = format!("{} is sent a whole state for nothing", before.id());
            return Err(Violation::new(Invariant::Sound, what));
        }
        if received.joined {
            self.events.joined.fetch_add(1, Relaxed);
        }
        Ok(next.nodes[at].replica != before)
    }

    /// Kills a replica and starts it anew with what is on its disk.
    pub(crate) fn crash(&self, cluster: &Cluster, at: usize) -> Step {
        let node = &cluster.nodes[at];
        let old = node.replica.id();
        let id = match self.setup.same_id {
            true => old,
            false => ReplicaId::new(old.server, old.incarnation + 1),
        };
        let stored = State {
            from: id,
            ..node.stored()
        };
        if *node.replica.replica_ts() != stored.replica_ts {
            self.events.forgot.fetch_add(1, Relaxed);
        }
        let replica = caught(|| {
            let mut replica = Replica::new(id, Tally::default(), self.setup.limits());
            let recovered = replica.receive(Message::State(Box::new(stored.clone())), NOW);
            recovered.map(|_| replica)
        })?
        .map_err(|error| {
            let what = format!("{id} cannot recover: {error}");
            Violation::new(Invariant::Sound, what)
        })?;
        grows("replica_ts", &stored.replica_ts, replica.replica_ts())?;
        grows("value_ts", &stored.value_ts, replica.value_ts())?;
        check_value(&replica, &cluster.issued)?;
        let mut next = cluster.clone();
        next.crashes += 1;
        next.nodes[at] = Node::new(replica, self.setup.disk, &self.pools);
        Ok(Some(next))
    }

    pub(crate) fn send(
        &self,
        cluster: &Cluster,
        from: u8,
        to: u8,
        content: Content,
    ) -> Option<Cluster> {
        let replica = &cluster.nodes[usize::from(from)].replica;
        let peer = cluster.nodes[usize::from(from)].knows(u32::from(to) + 1);
        let message = match (content, peer) {
            (Content::Report, _) => Message::Offer(replica.report()),
            (Content::News, Some(peer)) => replica.message(peer, Scope::All),
            (Content::News, None) => Message::Offer(replica.report()),
            (Content::Own, Some(peer)) if replica.has_news_for(peer, Scope::Own) => {
                replica.message(peer, Scope::Own)
            }
            _ => return None,
        };
        let message = self.pools.messages.share(message);
        let mut next = cluster.clone();
        next.send(Packet { to, message }).then_some(next)
    }

    pub(crate) fn sync(&self, cluster: &Cluster, at: usize) -> Option<Cluster> {
        let node = &cluster.nodes[at];
        let state = node.replica.state();
        if node.disk.as_deref() == Some(&state) {
            return None;
        }
        let mut next = cluster.clone();
        next.nodes[at].disk = Some(self.pools.states.share(state));
        Some(next)
    }

    /// Lets a replica do something, and judges what came of it.
    pub(crate) fn touch<R>(
        &self,
        next: &mut Cluster,
        at: usize,
        act: impl FnOnce(&mut Replica<Tally>) -> R,
    ) -> Result<R, Violation> {
        let before = &next.nodes[at].replica;
        let mut after = Replica::clone(before);
        let result = caught(|| act(&mut after))?;
        if after != **before {
            check_growth(before, &after)?;
            check_value(&after, &next.issued)?;
            next.nodes[at].replica = self.pools.replicas.share(after);
        }
        Ok(result)
    }
}

/// Whether a message would change nothing where it is going. A message at which the
/// core fails is not idle.
pub(crate) fn idle(replica: &Replica<Tally>, packet: &Packet) -> bool {
    caught(|| {
        let mut after = replica.clone();
        let received = after.receive(Message::clone(&packet.message), NOW);
        received.is_ok() && after == *replica
    })
    .unwrap_or(false)
}
