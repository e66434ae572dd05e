//! A clock that is hours or years apart, and peers that say what cannot be.

use backfence_gossip::{
    HybridClock, Message, Offer, Record, Refusal, ReplicaId, SessionId, Standing, State, Time,
    Timestamp, Update, UpdateId,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;

use crate::{
    Violation,
    ledger::{Ledger, Write},
    oracle::Verdict,
    plan::{Plan, Step},
    trace::Lane,
    world::{START, World},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// From here on a clock is far from true time.
const FAR: i64 = HOUR / 2;
/// Nobody's replica.
const STRANGER: ReplicaId = ReplicaId::new(99, 1);
const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);

impl Plan {
    /// Adds, in some runs, one server whose clock is far from true time now and then, and
    /// messages that cannot be.
    pub(crate) fn be_hostile(&mut self, seed: u64) {
        // By a generator of its own, as the rest of the plan is that of earlier seeds.
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(17) ^ 0x7ea5);
        let (replica, times) = (rng.random(), [0, 0, 1, 3][rng.random_range(0..4)]);
        for _ in 0..times {
            let far = [HOUR, 20 * HOUR, 2 * DAY, 365 * DAY, 10_000 * DAY];
            let far = far[rng.random_range(0..far.len())];
            let ms = if rng.random_range(0..4) == 0 {
                -far
            } else {
                far
            };
            let from = rng.random_range(0..=self.steps.len());
            self.steps.insert(from, Step::Skew { replica, ms });
            let to = rng.random_range(from + 1..=self.steps.len());
            self.steps.insert(to, Step::Skew { replica, ms: 0 });
        }
        let poisons = [0, 0, 5, 40][rng.random_range(0..4)];
        for _ in 0..poisons {
            let at = rng.random_range(0..=self.steps.len());
            let (replica, how) = (rng.random(), rng.random());
            self.steps.insert(at, Step::Poison { replica, how });
        }
    }
}

impl World<'_> {
    /// All have heard each other's clocks: so they founded the cluster.
    pub(crate) fn hear_clocks(&mut self) {
        for from in 0..self.nodes.len() {
            let (peer, theirs) = (self.nodes[from].id(), self.now(from));
            for at in (0..self.nodes.len()).filter(|&at| at != from) {
                let now = self.now(at);
                if let Some(replica) = &mut self.nodes[at].replica {
                    replica.hear_clock(peer, theirs, now);
                }
            }
        }
    }

    /// A clock is set. That of a server that is alone is not set far ahead: nobody could tell.
    pub(crate) fn skew(&mut self, node: usize, ms: i64) {
        let replica = self.nodes[node].replica.as_ref();
        let is_alone = replica.is_none_or(|replica| replica.others().next().is_none());
        if ms.abs() >= FAR && is_alone {
            return;
        }
        self.report.skewed += 1;
        self.report.far += usize::from(ms.abs() >= FAR);
        self.trace.note(self.steps, Lane::Replica(node), None, || {
            format!("has a clock that is {ms} ms off")
        });
        self.nodes[node].skew = ms;
    }

    /// Whether some clock is far from true time.
    pub(crate) fn is_far(&self) -> bool {
        self.nodes.iter().any(|node| node.skew.abs() >= FAR)
    }

    /// Says something that cannot be, as a stranger or as a peer. Nothing may come of it.
    pub(crate) fn poison(&mut self, at: usize, how: u8) -> Result<(), Violation> {
        let now = self.now(at);
        let replica = self.nodes[at].replica.as_ref();
        let Some(replica) = replica.filter(|replica| !replica.is_retired()) else {
            return Ok(());
        };
        let peers: Vec<_> = replica.others().collect();
        let from = match peers.len() {
            0 => STRANGER,
            count if how & 1 == 0 => peers[usize::from(how >> 5) % count],
            _ => STRANGER,
        };
        let (to, has) = (replica.id(), replica.replica_ts());
        let late = now.max(START.after(self.elapsed()));
        let (what, message) = poison(how / 2 % 12, from, to, has, late);
        self.report.poisoned += 1;
        let mut after = replica.clone();
        let received = after.receive(message, now);
        // A record that is passed on is held, and nothing else comes of it.
        let is_held = received.as_ref().is_ok_and(|received| {
            received.held == [STRANGER] && received.accepted.is_empty() && !received.met
        });
        if received.is_ok_and(|received| !received.retired) && !(what == PASSED_ON && is_held) {
            let what = format!("{} believes {from}, which sends {what}", replica.id());
            return self.judge(Err(("I4", what)));
        }
        if what != PASSED_ON && after != *replica {
            let what = format!("{} was changed by {what} of {from}", replica.id());
            return self.judge(Err(("I4", what)));
        }
        Ok(())
    }

    /// When all clocks are right, every session can write, wherever it goes on: it has what
    /// its token has.
    pub(crate) fn check_clocks(&self) -> Verdict {
        let now = START.after(self.elapsed());
        let new = [(SessionId(u128::MAX), Timestamp::new(), Time(0))];
        let known = self.clients.iter().map(|client| {
            let session = &client.session;
            (session.id, session.prev.clone(), session.clock)
        });
        for (id, prev, seen) in known.chain(new) {
            for replica in self.replicas() {
                let mut clock = HybridClock::default();
                clock.observe(seen, now, Duration::ZERO);
                let mut update = Update {
                    id: UpdateId::new(id, u64::MAX),
                    prev: prev.clone(),
                    time: clock.tick(Duration::ZERO),
                    operation: WRITE,
                };
                let mut taken = replica.clone().update_after(update.clone(), seen, now);
                // A client learns the time then, and tries once more.
                if let (Err(Refusal::TooLate { .. }), Ok(Some(view))) =
                    (&taken, replica.query(&Timestamp::new(), now))
                {
                    clock.observe(view.clock, now, Duration::ZERO);
                    update.time = clock.tick(Duration::ZERO);
                    taken = replica.clone().update_after(update, seen, now);
                }
                if let Err(
                    refusal @ (Refusal::ClockAhead { .. }
                    | Refusal::TooLate { .. }
                    | Refusal::Suspect { .. }),
                ) = taken
                {
                    let at = replica.id();
                    return Err(("I4", format!("{at} takes no update of {id}: {refusal}")));
                }
            }
        }
        Ok(())
    }
}

const WRITE: Write = Write {
    index: 0,
    cell: 0,
    delete: false,
    newer: false,
};
const PASSED_ON: &str = "a record of another that is dated far ahead";

/// A message that cannot be, and what it is.
fn poison(
    how: u8,
    from: ReplicaId,
    to: ReplicaId,
    has: &Timestamp,
    now: Time,
) -> (&'static str, Message<Ledger>) {
    let offer = Offer {
        from,
        replica_ts: Timestamp::new(),
        members: Vec::new(),
        ended: Vec::new(),
        records: Vec::new(),
        more: false,
        standing: Standing::New,
        horizon: Time(0),
        settled: Time(0),
    };
    let state = State {
        from,
        replica_ts: Timestamp::new(),
        value_ts: Timestamp::new(),
        floor: Timestamp::new(),
        members: vec![from],
        ended: Vec::new(),
        finals: Timestamp::new(),
        log: Vec::new(),
        executed: Vec::new(),
        value: Ledger::default(),
        clock: Time(0),
        standing: Standing::Joined,
        horizon: Time(u64::MAX),
        settled: Time(0),
        needs: 1,
    };
    let record = |origin: ReplicaId, time, prev| {
        let update = Update {
            id: UpdateId::new(SessionId(99), 1),
            prev,
            time,
            operation: WRITE,
        };
        Record::new(origin, has.count(origin).saturating_add(1), update)
    };
    let records = |record: Option<Record<Write>>| record.into_iter().collect();
    let end = Time(u64::MAX);
    let huge = |count| -> Timestamp {
        let all = has.iter().map(|(life, _)| life).chain([from, to]);
        all.map(|life| (life, count)).collect()
    };
    let nothing = Timestamp::new();
    let more = has.count(to) + 1;
    match how {
        0 => {
            let records = records(record(from, end, nothing));
            (
                "an update at the end of time",
                Message::Offer(Offer { records, ..offer }),
            )
        }
        1 => {
            let records = records(record(from, now.after(DAYS), nothing));
            (
                "an update of days ahead",
                Message::Offer(Offer { records, ..offer }),
            )
        }
        2 => {
            let settled = end;
            (
                "a past that never ends",
                Message::Offer(Offer { settled, ..offer }),
            )
        }
        3 => {
            let settled = now.after(DAYS);
            (
                "a past of days ahead",
                Message::State(Box::new(State { settled, ..state })),
            )
        }
        4 => {
            let (replica_ts, value_ts, floor) =
                (huge(u64::MAX - 1), huge(u64::MAX - 1), huge(u64::MAX - 1));
            let state = State {
                replica_ts,
                value_ts,
                floor,
                ..state
            };
            ("counts without end", Message::State(Box::new(state)))
        }
        5 => {
            let members = (1000..6000).map(|server| ReplicaId::new(server, 1));
            let members = members.collect();
            ("a crowd", Message::Offer(Offer { members, ..offer }))
        }
        6 => {
            let from = ReplicaId::end(to.server);
            (
                "the receiver's end",
                Message::Offer(Offer { from, ..offer }),
            )
        }
        7 => {
            let replica_ts = [(to, more)].into_iter().collect();
            (
                "what was never made",
                Message::Offer(Offer {
                    replica_ts,
                    ..offer
                }),
            )
        }
        8 => {
            let needs = 9;
            (
                "what nobody understands",
                Message::State(Box::new(State { needs, ..state })),
            )
        }
        9 => {
            let clock = now.after(DAYS);
            (
                "a clock of days ahead",
                Message::State(Box::new(State { clock, ..state })),
            )
        }
        10 => {
            let records = records(record(
                from,
                Time(1),
                [(to, u64::MAX - 1)].into_iter().collect(),
            ));
            (
                "a cause that cannot be",
                Message::Offer(Offer { records, ..offer }),
            )
        }
        _ => {
            let records = records(record(STRANGER, end, nothing));
            match from == STRANGER {
                true => (
                    "an update at the end of time",
                    Message::Offer(Offer { records, ..offer }),
                ),
                false => (PASSED_ON, Message::Offer(Offer { records, ..offer })),
            }
        }
    }
}
