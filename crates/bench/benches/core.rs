//! The core alone: an update, a query, and records of gossip, with criterion.
//!
//! `cargo bench -p backfence-bench --bench core`

use std::{hint::black_box, sync::Arc};

use backfence_gossip::{
    Limits, Message, Replica, ReplicaId, Scope, Session, SessionId, Time, Update, UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const ONE: ReplicaId = ReplicaId::new(1, 1);
const TWO: ReplicaId = ReplicaId::new(2, 1);
const SESSIONS: u64 = 32;
/// Records of one message.
const RECORDS: u64 = 1_000;

/// Sessions that update in turn, each after what it has seen.
struct Sessions {
    all: Vec<Session>,
    made: u64,
}

impl Sessions {
    fn new() -> Self {
        let session = |number: u64| Session::new(SessionId(number.into()));
        Self {
            all: (0..SESSIONS).map(session).collect(),
            made: 0,
        }
    }

    fn update(&mut self, replica: &mut Replica<Ratings>) {
        self.made += 1;
        let session = &mut self.all[(self.made % SESSIONS) as usize];
        let time = Time(1_000_000 + self.made);
        let update = Update {
            id: UpdateId::new(session.id, 1 + self.made / SESSIONS),
            prev: session.prev.clone(),
            time,
            operation: Operation::Rate {
                user: UserId((self.made * 7 % 600) as u32),
                movie: MovieId((self.made * 31 % 9_000) as u32),
                rating: Rating::MAX,
            },
        };
        let accepted = replica.update(update, time).expect("it is accepted");
        session.observe(&accepted.ts, accepted.clock);
    }
}

fn replica(id: ReplicaId) -> Replica<Ratings> {
    let mut replica = Replica::new(id, Ratings::new(Arc::new(Base::empty())), Limits::default());
    replica.found();
    replica
}

/// Has each hear of the other, so that records stay in the log.
fn meet(one: &mut Replica<Ratings>, two: &mut Replica<Ratings>) {
    let hear = |from: &Replica<Ratings>, to: &mut Replica<Ratings>| {
        let _ = to
            .receive(Message::Offer(from.report()), Time(1_000_000))
            .expect("a report");
    };
    // Twice, so that each has told that it knows the other.
    for _ in 0..2 {
        hear(one, two);
        hear(two, one);
    }
}

fn core(c: &mut Criterion) {
    let (mut one, mut sessions) = (replica(ONE), Sessions::new());
    c.bench_function("update", |b| b.iter(|| sessions.update(&mut one)));
    let prev = sessions.all[1].prev.clone();
    c.bench_function("query", |b| {
        b.iter(|| {
            let view = one
                .query(black_box(&prev), Time(9))
                .expect("nothing is forged");
            let view = view.expect("all of it is here");
            black_box(view.value.view(UserId(7), MovieId(31)))
        });
    });

    let (mut one, mut two, mut sessions) = (replica(ONE), replica(TWO), Sessions::new());
    meet(&mut one, &mut two);
    (0..RECORDS).for_each(|_| sessions.update(&mut one));
    let message = one.message(TWO, Scope::Own);
    let Message::Offer(offer) = &message else {
        panic!("nothing is discarded");
    };
    assert_eq!(offer.records.len() as u64, RECORDS);
    let mut group = c.benchmark_group("receive");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("a message of 1,000 records", |b| {
        b.iter_batched(
            || (two.clone(), message.clone()),
            |(mut two, message)| {
                let _ = two.receive(message, Time(1_000_000)).expect("records");
                two
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, core);
criterion_main!(benches);
