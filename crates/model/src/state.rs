//! A state of the whole system: replicas with their disks, sessions, messages.

use backfence_gossip::{Message, Replica, ReplicaId, Session, SessionId, State, Update};

use crate::{
    judge::Violation,
    requests::NOW,
    setup::{Disk, Setup},
    shared::{Pool, Shared},
    tally::{Tally, Updates},
};

/// A state of the whole system.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// The updates that were made, by index.
    pub(crate) issued: Vec<Shared<Issued>>,
    pub(crate) acknowledged: Updates,
    /// A set, in the order of the hashes: a copy of a message on its way is the
    /// same as the message delivered twice.
    pub(crate) packets: Vec<Packet>,
    pub(crate) crashes: u8,
    pub(crate) copies: u8,
    /// What was found wrong on the way here. Nothing follows such a state.
    pub(crate) violation: Option<Violation>,
}

/// A server: the replica in its memory, and what of it is on its disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    pub(crate) replica: Shared<Replica<Tally>>,
    /// What a crash leaves; `None` where that is all of the replica.
    pub(crate) disk: Option<Shared<State<Tally>>>,
}

/// A session, and how far it has come in its script.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Client {
    pub(crate) session: Session,
    /// All updates that it has seen the effect of, or made.
    pub(crate) observed: Updates,
    /// Requests that were answered.
    pub(crate) done: u8,
    /// The update that it waits for.
    pub(crate) open: Option<u8>,
}

/// An update, and what only the model knows of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Issued {
    pub(crate) update: Update<u8>,
    /// Everything that its session had seen: its true causes.
    pub(crate) causes: Updates,
}

/// What states have in common.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) replicas: Pool<Replica<Tally>>,
    pub(crate) states: Pool<State<Tally>>,
    pub(crate) messages: Pool<Message<Tally>>,
    pub(crate) issued: Pool<Issued>,
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Packet {
    pub(crate) to: u8,
    pub(crate) message: Shared<Message<Tally>>,
}

impl Cluster {
    /// Everyone idle, nothing written.
    pub(crate) fn new(setup: &Setup, pools: &Pools) -> Self {
        let limits = setup.limits();
        let replica = |server| Replica::new(ReplicaId::new(server, 1), Tally::default(), limits);
        let mut replicas: Vec<_> = (1..=setup.replicas.into()).map(replica).collect();
        let first = &mut replicas[..usize::from(setup.replicas - setup.newcomers)];
        if setup.met {
            introduce(first);
        }
        // They start together, so each knows as well as any who takes part.
        first.iter_mut().for_each(Replica::found);
        let client = |session: usize| Client {
            session: Session::new(SessionId(session as u128 + 1)),
            observed: Updates::default(),
            done: 0,
            open: None,
        };
        Self {
            nodes: replicas
                .into_iter()
                .map(|replica| Node::new(replica, setup.disk, pools))
                .collect(),
            clients: (0..setup.sessions.len()).map(client).collect(),
            issued: Vec::new(),
            acknowledged: Updates::default(),
            packets: Vec::new(),
            crashes: 0,
            copies: 0,
            violation: None,
        }
    }

    /// Puts a message on its way, unless the same is on its way already.
    pub(crate) fn send(&mut self, packet: Packet) -> bool {
        let key = |packet: &Packet| (packet.to, packet.message.digest());
        match self.packets.binary_search_by_key(&key(&packet), key) {
            Ok(_) => false,
            Err(at) => {
                self.packets.insert(at, packet);
                true
            }
        }
    }
}

/// Lets every replica hear from every other, and once more of all that the others
/// have heard of.
fn introduce(replicas: &mut [Replica<Tally>]) {
    for _ in 0..2 {
        for from in 0..replicas.len() {
            let report = replicas[from].report();
            for (to, replica) in replicas.iter_mut().enumerate() {
                if to != from {
                    let _ = replica
                        .receive(Message::Offer(report.clone()), NOW)
                        .expect("a report is never malformed");
                }
            }
        }
    }
}

impl Node {
    pub(crate) fn new(replica: Replica<Tally>, disk: Disk, pools: &Pools) -> Self {
        let disk = (disk == Disk::Lagging).then(|| pools.states.share(replica.state()));
        let replica = pools.replicas.share(replica);
        Self { replica, disk }
    }

    /// What a crash would leave.
    pub(crate) fn stored(&self) -> State<Tally> {
        match &self.disk {
            Some(disk) => State::clone(disk),
            None => self.replica.state(),
        }
    }

    /// Whether the disk has this replica's own records up to `number`.
    pub(crate) fn has_stored(&self, number: u64) -> bool {
        let covers = |disk: &State<_>| number <= disk.replica_ts.count(self.replica.id());
        self.disk.as_deref().is_none_or(covers)
    }

    /// Whether the disk has every record that a report of the replica counts.
    pub(crate) fn may_report(&self) -> bool {
        let covers = |disk: &State<_>| *self.replica.replica_ts() <= disk.replica_ts;
        self.disk.as_deref().is_none_or(covers)
    }

    /// The latest life of `server` that this replica has heard of.
    pub(crate) fn knows(&self, server: u32) -> Option<ReplicaId> {
        self.replica
            .members()
            .filter(|member| member.server == server)
            .last()
    }
}
