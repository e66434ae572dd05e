//! What a replica writes while 200 updates pass: its own and those of two others, of
//! which some wait and some come as a whole state, and a restart in the middle.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use backfence_gossip::{
    Limits, Message, Offer, Replica, ReplicaId, Scope, Session, SessionId, State, Time, Update,
    UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered};

use super::{
    Random, SERVER, revive,
    step::{Call, Step, since},
};

const UPDATES: usize = 200;
const SESSIONS: usize = 6;
/// So many updates are made meanwhile.
const LATE: Duration = Duration::from_millis(16);

/// The script of a seed.
pub(crate) fn steps(base: &Arc<Base>, seed: u64) -> Vec<Step> {
    let mut town = Town::new(base.clone(), seed);
    town.call(Call::Open);
    town.call(Call::Begin(1));
    // Alone it discards what it applies, so that only the value has it.
    town.update(0);
    town.flush(true);
    while town.made < UPDATES {
        town.happen();
        if town.made == UPDATES / 2 && town.replicas[0].id().incarnation == 1 {
            town.restart();
        }
    }
    town.flush(true);
    town.call(Call::Open);
    town.steps
}

struct Town {
    base: Arc<Base>,
    random: Random,
    /// The first one is the one that writes.
    replicas: Vec<Replica<Ratings>>,
    sessions: Vec<Session>,
    made: usize,
    now: Time,
    batch: Batch,
    joined: bool,
    /// Something has come and gone before it was written: it is in the state only.
    must_checkpoint: bool,
    checkpoint: Option<State<Ratings>>,
    steps: Vec<Step>,
}

impl Town {
    fn new(base: Arc<Base>, seed: u64) -> Self {
        let replica = |server, log_bytes| {
            let limits = Limits {
                log_bytes,
                late: LATE,
                ..Limits::default()
            };
            let id = ReplicaId::new(server, 1);
            let mut replica = Replica::new(id, Ratings::new(base.clone()), limits);
            replica.found();
            replica
        };
        let session = |number| Session::new(SessionId(number as u128 + 1));
        Self {
            replicas: vec![
                replica(SERVER, 1 << 20),
                replica(2, 1 << 20),
                replica(3, 500),
            ],
            sessions: (0..SESSIONS).map(session).collect(),
            made: 0,
            now: Time(1_700_000_000_000_000),
            random: Random(seed),
            batch: Batch::default(),
            joined: false,
            must_checkpoint: false,
            checkpoint: None,
            steps: Vec::new(),
            base,
        }
    }

    fn happen(&mut self) {
        match self.random.below(17) {
            0..=3 => self.update(0),
            4..=5 => self.update(1),
            6..=8 => self.update(2),
            9 => self.exchange(1, Scope::Own),
            10 => self.exchange(2, Scope::All),
            11..=13 => self.pass(),
            _ => {
                let checkpoint = self.random.below(4) == 0;
                self.flush(checkpoint);
            }
        }
    }

    fn update(&mut self, at: usize) {
        let session = self.random.below(SESSIONS);
        let (user, movie) = (self.random.below(9), self.random.below(2) + 1);
        let (user, movie) = (UserId(user as u32), MovieId(movie as u32));
        let operation = match self.random.below(4) {
            0 => Operation::Delete { user, movie },
            stars => {
                let rating = Rating::try_from(stars as f64).expect("below 5");
                Operation::Rate {
                    user,
                    movie,
                    rating,
                }
            }
        };
        self.now = self.now.after(Duration::from_millis(1));
        let session = &mut self.sessions[session];
        let update = Update {
            id: UpdateId::new(session.id, self.made as u64 + 1),
            prev: session.prev.clone(),
            time: self.now,
            operation,
        };
        let replica = &mut self.replicas[at];
        // The one with little room refuses what would have to wait.
        let Ok(accepted) = replica.update(update, self.now) else {
            return;
        };
        self.made += 1;
        session.observe(&accepted.ts, accepted.clock);
        let number = accepted.number.expect("it is new");
        if at == 0 {
            self.note(self.replicas[0].id(), number);
        }
    }

    /// The first replica reports to another, gets what it lacks, and gives likewise.
    fn exchange(&mut self, with: usize, scope: Scope) {
        self.vouch();
        let (first, others) = self.replicas.split_at_mut(1);
        let (here, there) = (&mut first[0], &mut others[with - 1]);
        let report = Message::Offer(here.report());
        let _ = there.receive(report, self.now).expect("a report");
        let received = here
            .receive(there.message(here.id(), scope), self.now)
            .expect("good");
        let _ = there
            .receive(here.message(there.id(), scope), self.now)
            .expect("good");
        self.joined |= received.joined;
        for (origin, numbers) in received.accepted {
            numbers.for_each(|number| self.note(origin, number));
        }
    }

    /// The others tell each other whom they know, without which they send nothing to a
    /// new server; but no records, so that some have to wait.
    fn vouch(&mut self) {
        let [_, second, third] = &mut self.replicas[..] else {
            return;
        };
        let (from_second, from_third) = (second.report(), third.report());
        let _ = second
            .receive(Message::Offer(from_third), self.now)
            .expect("a report");
        let _ = third
            .receive(Message::Offer(from_second), self.now)
            .expect("a report");
    }

    /// A while passes in which all hear of all. What the first replica settles, and
    /// forgets and lets go of by that, is in its state only.
    fn pass(&mut self) {
        self.now = self.now.after(LATE);
        for replica in &mut self.replicas {
            replica.advance(self.now);
        }
        self.exchange(1, Scope::All);
        self.exchange(2, Scope::All);
        let here = &mut self.replicas[0];
        here.advance(self.now);
        here.release(Ratings::release);
        self.must_checkpoint = true;
    }

    fn note(&mut self, origin: ReplicaId, number: u64) {
        match self.replicas[0].record(origin, number) {
            Some(record) => self.batch.records.push(record.clone()),
            None => self.must_checkpoint = true,
        }
    }

    fn flush(&mut self, checkpoint: bool) {
        let state = self.replicas[0].state();
        if self.joined || self.checkpoint.is_none() {
            self.batch.checkpoint = Some(Checkpoint::whole(state.clone()));
        } else if checkpoint || self.must_checkpoint {
            self.batch.checkpoint = self.checkpoint.as_ref().map(|last| since(last, &state));
        }
        if self.batch.checkpoint.is_some() {
            (self.joined, self.must_checkpoint) = (false, false);
            self.checkpoint = Some(state.clone());
        } else if self.random.below(3) == 0 {
            self.batch.members = Some(state.members);
        }
        let batch = std::mem::take(&mut self.batch);
        self.call(Call::Write(Box::new(batch)));
    }

    /// A crash after all was written: a new incarnation, and a whole checkpoint.
    fn restart(&mut self) {
        self.flush(false);
        let own = ReplicaId::new(SERVER, 2);
        let here = &mut self.replicas[0];
        let (state, members) = (here.state(), here.members().collect());
        *here = Replica::new(own, Ratings::new(self.base.clone()), Limits::default());
        let from_itself = Offer {
            from: own,
            members,
            ..here.report()
        };
        let state = Message::State(Box::new(State { from: own, ..state }));
        let _ = here.receive(state, Time(0)).expect("its own");
        let _ = here
            .receive(Message::Offer(from_itself), Time(0))
            .expect("its own");
        here.found();
        self.call(Call::Open);
        self.call(Call::Begin(2));
        self.joined = true;
        self.flush(true);
    }

    /// Members are met with records and reports: they are in what is expected only
    /// once they were written.
    fn call(&mut self, call: Call) {
        let after = match &call {
            Call::Write(batch) => {
                let last = self.steps.last().map(|step| step.after.members.clone());
                let here = self.replicas[0].state();
                let origins: Vec<_> = here.replica_ts.iter().map(|entry| entry.0).collect();
                let written: BTreeSet<ReplicaId> = match (&batch.members, &batch.checkpoint) {
                    (None, None) => last.into_iter().flatten().chain(origins).collect(),
                    _ => here.members.iter().copied().collect(),
                };
                let members = written.into_iter().collect();
                let state = State { members, ..here };
                self.revived(Some(state))
            }
            Call::Open | Call::Begin(_) => match self.steps.last() {
                Some(step) => step.after.clone(),
                None => self.revived(None),
            },
        };
        self.steps.push(Step { call, after });
    }

    fn revived(&self, state: Option<State<Ratings>>) -> State<Ratings> {
        let members = state
            .iter()
            .flat_map(|state| state.members.clone())
            .collect();
        let recovered = Recovered {
            state,
            members,
            ..Recovered::default()
        };
        revive(&self.base, recovered)
    }
}
