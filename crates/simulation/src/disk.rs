//! A server's disk.

use backfence_gossip::{Message, Offer, Record, ReplicaId, Standing, State, Time, Timestamp};
use fixedbitset::FixedBitSet;

use crate::ledger::{Ledger, Write};

/// Records on a disk after which a checkpoint takes their place.
const CHECKPOINT: usize = 16;

/// What the core's return values say must be stored: a checkpoint, and the records
/// accepted after it.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    checkpoint: Option<State<Ledger>>,
    records: Vec<Record<Write>>,
    pub(crate) members: Vec<ReplicaId>,
    /// The indices of the updates on it.
    pub(crate) indices: FixedBitSet,
}

impl Disk {
    pub(crate) fn of(checkpoint: Option<State<Ledger>>) -> Self {
        let indices = checkpoint.as_ref().map_or_else(FixedBitSet::new, |state| {
            let mut indices = state.value.applied().clone();
            for entry in &state.log {
                indices.grow_and_insert(entry.record.update().operation.index);
            }
            indices
        });
        Self {
            checkpoint,
            records: Vec::new(),
            members: Vec::new(),
            indices,
        }
    }

    /// How many records of each origin are on it, or were before a checkpoint.
    pub(crate) fn replica_ts(&self) -> Timestamp {
        let checkpoint = self.checkpoint.as_ref();
        let mut ts = checkpoint.map_or_else(Timestamp::new, |state| state.replica_ts.clone());
        for record in &self.records {
            ts.raise(record.origin(), record.number());
        }
        ts
    }

    /// The same, but of the last lives that are folded away as many as there were.
    pub(crate) fn held(&self) -> Timestamp {
        let mut held = Timestamp::new();
        if let Some(state) = &self.checkpoint {
            held.merge(&state.finals);
        }
        for (origin, count) in self.replica_ts().iter() {
            if count != Timestamp::ALL {
                held.raise(origin, count);
            }
        }
        held
    }

    pub(crate) fn members(&self) -> Vec<ReplicaId> {
        let checkpoint = self.checkpoint.iter().flat_map(|state| &state.members);
        checkpoint.chain(&self.members).copied().collect()
    }

    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.records.len() > CHECKPOINT
    }

    pub(crate) fn push(&mut self, record: Record<Write>) {
        self.indices
            .grow_and_insert(record.update().operation.index);
        self.records.push(record);
    }

    pub(crate) fn append(&mut self, written: Self) {
        if written.checkpoint.is_some() {
            *self = written;
        } else {
            self.records.extend(written.records);
            self.members.extend(written.members);
            self.indices.union_with(&written.indices);
        }
    }

    /// Its contents, as if the replica itself had sent them.
    pub(crate) fn messages(&self, own: ReplicaId) -> Vec<Message<Ledger>> {
        let checkpoint = self.checkpoint.clone();
        let replica_ts = checkpoint.as_ref().map(|state| state.replica_ts.clone());
        let state = checkpoint.map(|state| Message::State(Box::new(State { from: own, ..state })));
        let records = Message::Offer(Offer {
            from: own,
            replica_ts: replica_ts.unwrap_or_default(),
            members: self.members.clone(),
            ended: Vec::new(),
            records: self.records.clone(),
            more: false,
            standing: Standing::New,
            horizon: Time::default(),
            settled: Time::default(),
        });
        state.into_iter().chain([records]).collect()
    }
}
