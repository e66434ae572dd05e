//! A server: its replica while it lives, its disk, and what waits for the disk.

use std::time::Duration;

use backfence_gossip::{
    Limits, MalformedState, Message, Received, Replica, ReplicaId, Time, Timestamp,
};
use fixedbitset::FixedBitSet;

use crate::{disk::Disk, hello::Heard, ledger::Ledger, oracle::Seen, packet::Packet};

/// Farther than this a clock goes back.
const STANDS: Duration = Duration::from_secs(5);

pub(crate) struct Node {
    server: u32,
    /// How many lives it has had: no incarnation is used twice.
    lives: u64,
    /// Its version is that of the program of the present or last life.
    limits: Limits,
    pub(crate) heard: Heard,
    /// `None` while it is dead.
    pub(crate) replica: Option<Replica<Ledger>>,
    pub(crate) seen: Seen,
    pub(crate) held: Vec<Held>,
    /// Apart from true time, in milliseconds.
    pub(crate) skew: i64,
    /// What its clock has shown: like the real one it stands rather than go back a little.
    clock: Time,
    pub(crate) disk: Disk,
    backup: Option<Disk>,
    /// An operator has retired it for good.
    pub(crate) retired: bool,
    /// What was written since the last sync.
    written: Disk,
    /// What may leave once that is on the disk: nothing is told before.
    outbox: Vec<Packet>,
}

/// A query that waits for what its session has seen.
pub(crate) struct Held {
    pub(crate) client: usize,
    pub(crate) front_end: (usize, u32),
    pub(crate) number: u32,
    pub(crate) prev: Timestamp,
    /// What the front end hopes to see; dropped when patience ends.
    pub(crate) hoped: Option<Timestamp>,
    pub(crate) cell: u8,
}

impl Held {
    /// Whether a value that covers `ts` is older than what is hoped for.
    pub(crate) fn hopes_beyond(&self, ts: &Timestamp) -> bool {
        let hoped = self.hoped.as_ref();
        hoped.is_some_and(|hoped| hoped.beyond(ts).next().is_some())
    }
}

/// With what a server comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comeback {
    Disk,
    Backup,
    Nothing,
}

impl Node {
    pub(crate) fn new(server: u32, limits: Limits) -> Self {
        let mut node = Self {
            server,
            lives: 0,
            limits,
            heard: Heard::default(),
            replica: None,
            seen: Seen::default(),
            held: Vec::new(),
            skew: 0,
            clock: Time(0),
            disk: Disk::default(),
            backup: None,
            retired: false,
            written: Disk::default(),
            outbox: Vec::new(),
        };
        node.start(Comeback::Nothing, limits.version);
        node
    }

    /// What its clock shows at true time `truth`.
    pub(crate) fn now(&mut self, truth: Time) -> Time {
        let shown = Time(truth.0.saturating_add_signed(self.skew * 1000));
        if shown > self.clock || self.clock.since(shown) > STANDS {
            self.clock = shown;
        }
        self.clock
    }

    /// Its server number, and the incarnation that its next life has.
    pub(crate) const fn next_life(&self) -> (u32, u64) {
        (self.server, self.lives + 1)
    }

    /// The newest version of records that its program understands.
    pub(crate) const fn version(&self) -> u32 {
        self.limits.version
    }

    /// The id that it has, or had last.
    pub(crate) const fn id(&self) -> ReplicaId {
        ReplicaId::new(self.server, self.lives)
    }

    /// Writes the record that it has accepted itself.
    pub(crate) fn accepted(&mut self, number: u64) {
        self.write(self.id(), number..=number);
    }

    /// Is told that a server is gone for good. Whether it lives to hear it.
    pub(crate) fn retire(&mut self, server: u32) -> bool {
        if let Some(replica) = &mut self.replica {
            replica.retire(server);
        }
        self.met();
        self.replica.is_some()
    }

    /// Writes who takes part.
    pub(crate) fn met(&mut self) {
        if let Some(replica) = &self.replica {
            self.written.members = replica.members().collect();
        }
    }

    /// Writes everything anew.
    pub(crate) fn checkpoint(&mut self) {
        self.written = Disk::of(self.replica.as_ref().map(Replica::state));
    }

    /// Writes what a message has brought.
    pub(crate) fn received(&mut self, received: Received) {
        if received.met {
            self.met();
        }
        if received.joined {
            self.checkpoint();
        }
        for (origin, numbers) in received.accepted {
            self.write(origin, numbers);
        }
    }

    fn write(&mut self, origin: ReplicaId, numbers: std::ops::RangeInclusive<u64>) {
        let Some(replica) = &self.replica else { return };
        for number in numbers {
            // A record that went at once is known to everyone, and applied here: it
            // is in every later checkpoint, so one is taken.
            match replica.record(origin, number) {
                Some(record) => self.written.push(record.clone()),
                None => return self.checkpoint(),
            }
        }
    }

    /// Whether all that a message tells is on the disk; one that an earlier life has sent
    /// was judged then.
    pub(crate) fn has_stored(&self, message: &Message<Ledger>) -> bool {
        if message.from() != self.id() {
            return true;
        }
        let stored = self.disk.members();
        // What is folded away was on it before.
        let replica_ts = self.disk.replica_ts();
        let mut beyond = message.replica_ts().beyond(&replica_ts);
        // A life of which a later one is stored may have been folded away since.
        let covers = |other: &ReplicaId, member: &ReplicaId| {
            other.server == member.server && other >= member
        };
        let is_stored = |member| stored.iter().any(|other| covers(other, member));
        beyond.all(|(.., count)| count == Timestamp::ALL) && message.members().iter().all(is_stored)
    }

    /// Keeps a packet back until what it may tell is on the disk.
    pub(crate) fn say(&mut self, packet: Packet) {
        self.outbox.push(packet);
    }

    /// All that was written reaches the disk; gives what may leave now.
    pub(crate) fn sync(&mut self) -> Vec<Packet> {
        let written = std::mem::take(&mut self.written);
        self.disk.append(written);
        if self.disk.wants_checkpoint()
            && let Some(replica) = &self.replica
        {
            self.disk = Disk::of(Some(replica.state()));
        }
        std::mem::take(&mut self.outbox)
    }

    /// The updates and the records that are nowhere but here, or may be.
    pub(crate) fn holds(&self) -> (FixedBitSet, Timestamp) {
        let mut indices = self.disk.indices.clone();
        indices.union_with(&self.written.indices);
        let mut ts = self.disk.held();
        ts.merge(&self.written.held());
        (indices, ts)
    }

    /// Dies: what is not on the disk is gone.
    pub(crate) fn crash(&mut self) {
        self.replica = None;
        self.held.clear();
        self.outbox.clear();
        self.written = Disk::default();
    }

    /// Becomes one that others can join by.
    pub(crate) fn found(&mut self) {
        if let Some(replica) = &mut self.replica {
            replica.found();
        }
        self.met();
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = Some(self.disk.clone());
    }

    /// Comes back, in a new incarnation: it joins what is on its disk. An older program
    /// that does not understand the disk does not start; then a newer one is started.
    pub(crate) fn start(&mut self, comeback: Comeback, version: u32) {
        self.crash();
        match comeback {
            Comeback::Disk => {}
            Comeback::Backup => self.disk = self.backup.clone().unwrap_or_default(),
            Comeback::Nothing => self.disk = Disk::default(),
        }
        self.lives += 1;
        self.seen = Seen::default();
        self.heard = Heard::default();
        self.limits.version = version;
        // One that was retired does not start.
        let Some(mut replica) = self.recover() else {
            return;
        };
        if replica.needs() > version {
            self.limits.version = replica.needs();
            replica = self.recover().expect("the same disk");
        }
        self.disk = Disk::of(Some(replica.state()));
        self.replica = Some(replica);
    }

    fn recover(&self) -> Option<Replica<Ledger>> {
        let mut replica = Replica::new(self.id(), Ledger::default(), self.limits);
        for message in self.disk.messages(self.id()) {
            match replica.receive(message, self.clock) {
                // Some records are in the checkpoint too.
                Ok(received) => assert!(!received.retired && !received.outdated),
                Err(MalformedState::Retired { .. }) => return None,
                Err(error) => panic!("the disk holds a state that was: {error}"),
            }
        }
        let had = self.disk.replica_ts();
        let mut missing = had.beyond(replica.replica_ts());
        assert!(missing.next().is_none(), "all of its disk is taken");
        drop(missing);
        Some(replica)
    }
}
