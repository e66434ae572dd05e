//! A disk that forgets and fails, and a script of what a replica writes to it.

#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod sample;
pub(crate) mod script;
pub(crate) mod step;

use std::sync::Arc;

use backfence_gossip::{
    Limits, Message, Offer, Replica, ReplicaId, Standing, State, Time, Timestamp,
};
use backfence_ratings::{Base, Ratings};
use backfence_store::Recovered;

pub(crate) const SERVER: u32 = 1;

const MOVIES: &str = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n";

/// The loaded data; another for another `rating`.
pub(crate) fn base(rating: &str) -> Arc<Base> {
    let ratings = format!("userId,movieId,rating,timestamp\n1,1,{rating},1\n");
    let loaded = Base::read(MOVIES.as_bytes(), ratings.as_bytes(), true);
    Arc::new(loaded.expect("every row is good").base)
}

/// A generator of which a seed gives the same numbers for ever (splitmix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }
}

/// What a replica is after it has taken in what was stored, in a new incarnation.
///
/// # Panics
///
/// If the core refuses it.
pub(crate) fn revive(base: &Arc<Base>, recovered: Recovered) -> State<Ratings> {
    let own = ReplicaId::new(SERVER, 1_000_000);
    let mut replica = Replica::new(own, Ratings::new(base.clone()), Limits::default());
    let replica_ts = recovered
        .state
        .as_ref()
        .map(|state| state.replica_ts.clone());
    if let Some(state) = recovered.state {
        let state = Message::State(Box::new(State { from: own, ..state }));
        let _ = replica
            .receive(state, Time::default())
            .expect("the core takes the state");
    }
    let expected = recovered.records.len();
    let received = replica
        .receive(
            Message::Offer(Offer {
                from: own,
                replica_ts: replica_ts.unwrap_or_default(),
                members: recovered.members,
                ended: vec![],
                records: recovered.records,
                more: false,
                standing: Standing::New,
                horizon: Time::default(),
                settled: Time::default(),
            }),
            Time::default(),
        )
        .expect("the core takes the records");
    let taken = received
        .accepted
        .iter()
        .map(|(_, numbers)| numbers.clone().count());
    assert_eq!(
        (taken.sum(), received.ignored),
        (expected, 0),
        "no record is idle"
    );
    replica.state()
}

/// Whether two replicas are the same in everything but how many records they have
/// discarded and which lives they have folded: that is stored with checkpoints only, and
/// may lag.
pub(crate) fn same(found: &State<Ratings>, expected: &State<Ratings>) -> Result<(), String> {
    let waiting = |state: &State<Ratings>| {
        let waiting = state.log.iter().filter(|entry| entry.waiting);
        waiting
            .map(|entry| entry.record.clone())
            .collect::<Vec<_>>()
    };
    let logged = |entry| found.log.contains(entry);
    let is_folded = |life| expected.replica_ts.has_folded(life);
    let folded = |ts: &Timestamp| {
        let mut ts = ts.clone();
        let folds = expected.replica_ts.folds();
        folds.for_each(|last| ts.raise(last, Timestamp::ALL));
        ts
    };
    let mut lagging = found.replica_ts.iter();
    let is_whole = lagging.all(|(life, count)| {
        !is_folded(life) || count == Timestamp::ALL || count == expected.finals.count(life)
    });
    let members = found.members.iter().filter(|&&member| !is_folded(member));
    let checks = [
        (
            "replica_ts",
            folded(&found.replica_ts) == expected.replica_ts,
        ),
        ("value_ts", folded(&found.value_ts) == expected.value_ts),
        ("what is folded", is_whole),
        ("members", members.eq(&expected.members)),
        ("value", found.value == expected.value),
        ("cells", found.value.cells().eq(expected.value.cells())),
        ("executed", found.executed == expected.executed),
        ("clock", found.clock == expected.clock),
        ("horizon", found.horizon == expected.horizon),
        ("settled", found.settled == expected.settled),
        ("waiting", waiting(found) == waiting(expected)),
        ("floor", found.floor <= expected.floor),
        ("log", expected.log.iter().all(logged)),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(format!("{what} differs:\n{found:?}\nnot\n{expected:?}")),
        None => Ok(()),
    }
}
