//! What can go wrong while sessions talk, and how often it did.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `kill -9` of some replicas, but not all; sometimes with the registry or a front end.
    Kill,
    /// Some replicas are halted, but not all, and go on later (SIGSTOP, SIGCONT).
    Halt,
    /// `kill -9` of all replicas at once.
    KillAll,
    /// A replica is stopped, and starts again with an empty data directory.
    Wipe,
    /// A replica is stopped, and starts again with an old copy of its data directory.
    Restore,
    /// `kill -9` of the registry.
    Registry,
    /// `kill -9` of a front end.
    FrontEnd,
    /// A front end is halted, and goes on later.
    HaltFrontEnd,
    /// What a replica sends, and what is sent to it, is lost for some seconds.
    Cut,
    /// The same with one of the two only.
    CutOneWay,
    /// What a replica and the other replicas send to each other is lost for some seconds;
    /// front ends reach all of them.
    Part,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::Halt,
        Self::KillAll,
        Self::Wipe,
        Self::Restore,
        Self::Registry,
        Self::FrontEnd,
        Self::HaltFrontEnd,
        Self::Cut,
        Self::CutOneWay,
        Self::Part,
    ];

    /// Whether it needs a network of its own for each replica.
    pub const fn is_cut(self) -> bool {
        matches!(self, Self::Cut | Self::CutOneWay | Self::Part)
    }
}

/// What faults of one kind amounted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// How often it was done.
    pub injected: u64,
    /// How often it was seen from outside that something was away, or came back otherwise.
    pub bit: u64,
    /// How often it was given up, since it would have lost what the guarantees allow to
    /// be lost.
    pub spared: u64,
    /// Requests that failed, stayed in doubt or took over 100 ms from its beginning until
    /// the next one's.
    pub held_up: u64,
}

/// What faults there were.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Faults {
    /// By kind.
    pub kinds: BTreeMap<Kind, Tally>,
    /// How many in all.
    pub injected: u64,
    /// The longest time from the beginning of one to that of the next, or to the end, in
    /// seconds. One that was spared counts, since a server was stopped and started for it.
    pub longest_pause: f64,
    /// Why networks were not cut; absent if they were.
    pub without_cuts: Option<String>,
}

impl Faults {
    /// Counts one. Those it held up are requests; `done` is whether it was seen, and `None`
    /// if it was spared.
    pub(crate) fn note(&mut self, kind: Kind, done: Option<bool>, held_up: u64) {
        let tally = self.kinds.entry(kind).or_default();
        match done {
            Some(seen) => {
                self.injected += 1;
                tally.injected += 1;
                tally.bit += u64::from(seen);
                tally.held_up += held_up;
            }
            None => tally.spared += 1,
        }
    }

    /// Nothing went wrong from one time to the other.
    pub(crate) fn paused(&mut self, from: Instant, to: Instant) {
        let pause = to.duration_since(from).as_secs_f64();
        self.longest_pause = self.longest_pause.max(pause);
    }
}
