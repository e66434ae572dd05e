//! What replicas say to each other of their programs, where a run has two versions.
//!
//! The rules are those of the driver. Replicas gossip on streams between two lives, and each
//! stream begins with a Hello from either side: the version that one needs, and the newest
//! that one understands. A stream on which they cannot agree is refused. Before each message
//! the sender looks again, since it may have received a record meanwhile that the peer does
//! not understand. Messages on a stream are lost, doubled and reordered as all are.

use std::collections::{BTreeMap, BTreeSet};

use backfence_gossip::{Message, ReplicaId};

use crate::{Violation, ledger::Ledger, packet::Packet, trace::Lane, versions::NEW, world::World};

/// How a stream begins.
#[derive(Clone, Copy)]
pub(crate) struct Hello {
    id: ReplicaId,
    /// One has to understand this to gossip with it.
    oldest: u32,
    newest: u32,
}

/// What a replica has heard of its peers' programs in its present life.
#[derive(Default)]
pub(crate) struct Heard {
    newest: BTreeMap<ReplicaId, u32>,
    /// With whom a stream is open, as far as is known here.
    streams: BTreeSet<ReplicaId>,
}

impl Heard {
    /// The newest version that `peer` has said to understand.
    pub(crate) fn newest(&self, peer: ReplicaId) -> Option<u32> {
        self.newest.get(&peer).copied()
    }

    pub(crate) fn has_stream(&self, peer: ReplicaId) -> bool {
        self.streams.contains(&peer)
    }
}

impl World<'_> {
    /// Whether a message may go out to `peer`, the life of the server `to`: a stream is open,
    /// and the peer understands all that was received. Where no stream is, one is begun.
    pub(crate) fn may_speak(&mut self, from: usize, to: usize, peer: ReplicaId) -> bool {
        let node = &mut self.nodes[from];
        let Some(replica) = self.plan.versions.and(node.replica.as_ref()) else {
            return true;
        };
        if !node.heard.has_stream(peer) {
            self.say_hello(from, to, None);
            return false;
        }
        let understands = node.heard.newest(peer) >= Some(replica.needs());
        if !understands {
            node.heard.streams.remove(&peer);
            self.report.too_old += 1;
        }
        understands
    }

    fn say_hello(&mut self, from: usize, to: usize, answers: Option<ReplicaId>) {
        if let Some(hello) = self.hello(from) {
            self.send(Packet::Hello {
                from,
                to,
                hello,
                answers,
            });
        }
    }

    fn hello(&self, node: usize) -> Option<Hello> {
        let replica = self.nodes[node].replica.as_ref()?;
        Some(Hello {
            id: replica.id(),
            oldest: replica.needs(),
            newest: self.nodes[node].version(),
        })
    }

    /// Hears who is at the other end of a stream: of a call, or of the answer to one that
    /// the life `answers` has made.
    pub(crate) fn hear_hello(
        &mut self,
        (from, at): (usize, usize),
        hello: Hello,
        answers: Option<ReplicaId>,
    ) -> Result<(), Violation> {
        let Some(own) = self.hello(at) else {
            return Ok(());
        };
        if answers.is_some_and(|life| life != own.id) {
            self.report.hung_up += 1;
            return Ok(());
        }
        let Hello { id, newest, .. } = hello;
        let node = &mut self.nodes[at];
        if own.newest < hello.oldest || newest < own.oldest {
            self.report.too_old += 1;
            node.heard.streams.remove(&id);
            let (here, there) = (Lane::Replica(at), Some(Lane::Replica(from)));
            self.trace.note(self.steps, here, there, || {
                format!("refuses {id} with version {newest}")
            });
            return Ok(());
        }
        if let Some(replica) = &mut node.replica {
            replica.meet([id]);
            replica.understands(id, newest);
        }
        node.met();
        node.heard.newest.insert(id, newest);
        node.heard.streams.insert(id);
        match answers {
            None => self.say_hello(at, from, Some(id)),
            Some(_) => self.pull(at, from),
        }
        self.check(at)
    }

    /// Whether a message comes on a stream that its receiver `at` has still open; it was
    /// sent to the life `peer`. If so, it is to be understood.
    pub(crate) fn is_heard(
        &mut self,
        at: usize,
        peer: ReplicaId,
        message: &Message<Ledger>,
    ) -> Result<bool, Violation> {
        if self.plan.versions.is_none() {
            return Ok(true);
        }
        let node = &self.nodes[at];
        if node.id() != peer || !node.heard.has_stream(message.from()) {
            self.report.hung_up += 1;
            return Ok(false);
        }
        if node.version() < NEW {
            self.judge(self.oracle.check_message(peer, message))?;
        }
        Ok(true)
    }
}
