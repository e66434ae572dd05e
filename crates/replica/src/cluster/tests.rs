//! Which names are settled on.

use ClusterStanding::{Candidate, Established, Founded, Guessed};
use backfence_gossip::{Limits, ReplicaId, SessionId, Time, Timestamp, Update, UpdateId};
use backfence_ratings::{MovieId, Operation, UserId};

use super::*;
use crate::fixture;

const A: ClusterId = ClusterId([1; 16]);
const B: ClusterId = ClusterId([2; 16]);

fn claim(id: ClusterId, standing: ClusterStanding) -> Claim {
    Claim { id, standing }
}

fn cluster(id: ClusterId) -> Cluster {
    Cluster {
        id,
        least: Candidate,
        stored: None,
        age: 0,
    }
}

type Said = (ClusterId, ClusterStanding);

/// Both sides hear what the other said before.
fn settle(one: Said, other: Said) -> [Option<ClusterId>; 2] {
    let hear = |own: Said, said: Said| {
        let mut cluster = cluster(own.0);
        let met = cluster.meet(own.1, &claim(said.0, said.1));
        assert_eq!(met.is_ok_and(|changed| changed), cluster.id != own.0);
        met.ok().map(|_| cluster.id)
    };
    [hear(one, other), hear(other, one)]
}

#[test]
fn two_that_meet_agree_unless_both_are_established() {
    for (one, other, agreed) in [
        ((A, Candidate), (B, Candidate), Some(A)),
        ((A, Candidate), (B, Founded), Some(B)),
        ((B, Candidate), (A, Founded), Some(A)),
        ((A, Founded), (B, Founded), Some(A)),
        ((A, Founded), (B, Established), Some(B)),
        ((A, Candidate), (B, Established), Some(B)),
        ((A, Founded), (B, Guessed), Some(B)),
        ((A, Guessed), (B, Established), Some(B)),
        ((A, Established), (A, Established), Some(A)),
        ((A, Established), (B, Established), None),
    ] {
        assert_eq!(settle(one, other), [agreed; 2], "{one:?} {other:?}");
        assert_eq!(settle(other, one), [agreed; 2], "{other:?} {one:?}");
    }
}

/// In any order of Hellos, each of which may be long on its way: who has founded gives the
/// name, and nobody who has it takes another from one that has not.
#[test]
fn who_takes_a_name_stands_as_firm_as_who_gave_it() {
    let names = [7, 3, 9, 1, 5].map(|n| ClusterId([n; 16]));
    let founder = 0;
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..500 {
        let mut clusters = names.map(cluster);
        clusters[founder].least = Founded;
        let said = |clusters: &[Cluster; 5], at: usize| claim(clusters[at].id, clusters[at].least);
        let mut under_way = Vec::new();
        for _ in 0..60 {
            under_way.push((draw(5), said(&clusters, draw(5))));
            let (to, claim) = under_way.swap_remove(draw(under_way.len()));
            let own = clusters[to].least;
            clusters[to].meet(own, &claim).expect("nobody is firm");
            assert_eq!(clusters[founder].id, names[founder]);
            let firm = clusters.iter().filter(|one| one.least == Founded);
            assert!(firm.into_iter().all(|one| one.id == names[founder]));
        }
    }
}

/// All who found together have met each other, so they have the same name.
#[test]
fn all_candidates_that_have_met_each_other_agree() {
    let names = [7, 3, 9, 1, 5].map(|n| ClusterId([n; 16]));
    let mut hellos: Vec<_> = (0..5).flat_map(|a| (0..5).map(move |b| (a, b))).collect();
    for turn in 0..200 {
        let mut clusters = names.map(cluster);
        // Each Hello was said at the beginning, so it may be as old as can be.
        for &(to, from) in &hellos {
            let said = claim(names[from], Candidate);
            clusters[to].meet(Candidate, &said).expect("they agree");
        }
        let ids = clusters.map(|cluster| cluster.id);
        assert_eq!(ids, [ClusterId([1; 16]); 5], "{hellos:?}");
        let len = hellos.len();
        hellos.rotate_left(1 + turn % 3);
        hellos.swap(turn % len, (turn * 7 + 3) % len);
    }
}

#[test]
fn data_from_before_names_take_any_name_until_all_have_one() {
    let environment = Environment::seeded(1);
    let guess = ClusterId::of_fingerprint("data");
    let old = Claim::read(&[], 0, "data").expect("it is guessed");
    assert_eq!(old, claim(guess, Guessed));
    let new = |heard| Cluster::new(Disk::Unnamed, heard, "data", &environment);
    assert_eq!(new(None).id(), guess);
    assert_eq!(new(Some(claim(A, Founded))).id(), guess);
    assert_eq!(new(Some(claim(A, Established))).id(), A);

    let (own, other) = (ReplicaId::new(1, 10), ReplicaId::new(2, 10));
    let mut replica = fixture::replica(own, [other]);
    let mut cluster = new(None);
    assert_eq!(cluster.standing(&replica), Guessed);
    assert_eq!(cluster.take_unwritten(Guessed), None);
    // A server that was added to a cluster with a name while it ran a program of before.
    let mut added = new(None);
    assert_eq!(added.meet(Guessed, &claim(A, Established)), Ok(true));
    assert_eq!(added.standing(&replica), Established);
    // All have a name now.
    replica.understands(other, NAMES);
    replica.update(update(), Time(1)).expect("it is taken");
    let limits = Limits {
        version: NAMES,
        ..Limits::default()
    };
    assert_eq!(cluster.standing(&replica), Guessed, "this program has none");
    let mut replica = Replica::new(own, replica.value().clone(), limits);
    replica.found();
    replica.meet([other]);
    replica.understands(other, NAMES);
    replica.update(update(), Time(1)).expect("it is taken");
    assert_eq!(cluster.standing(&replica), Established);
    assert_eq!(cluster.take_unwritten(Established), Some(guess));
}

#[test]
fn a_newcomer_joins_those_who_are_there_unless_they_are_of_two_clusters() {
    let old = Claim::read(&[], 0, "data").expect("it is guessed");
    for (claims, expected) in [
        (vec![], Ok(None)),
        (vec![claim(A, Candidate), claim(B, Candidate)], Ok(None)),
        (vec![claim(A, Candidate), claim(B, Founded)], Ok(Some(B))),
        (vec![claim(B, Founded), claim(A, Founded)], Ok(Some(A))),
        (vec![claim(A, Founded), claim(B, Established)], Ok(Some(B))),
        (vec![claim(A, Established), claim(A, Founded)], Ok(Some(A))),
        (vec![old, claim(A, Established)], Ok(Some(A))),
        (vec![old], Ok(Some(old.id))),
        (
            vec![claim(A, Established), claim(B, Established)],
            Err(Strangers { own: A, other: B }),
        ),
    ] {
        let found = of_all(&claims).map(|found| found.map(|claim| claim.id));
        assert_eq!(found, expected, "{claims:?}");
    }
}

#[test]
fn the_disk_has_a_name_once_it_is_more_than_a_candidate() {
    let environment = Environment::seeded(1);
    let heard = Some(claim(A, Candidate));
    let mut cluster = Cluster::new(Disk::Empty, heard, "data", &environment);
    assert_eq!(cluster.take_unwritten(Candidate), None);
    assert_eq!(cluster.take_unwritten(Founded), Some(A));
    assert_eq!(cluster.take_unwritten(Established), None);
    cluster.id = B;
    assert_eq!(cluster.take_unwritten(Founded), Some(B));
    let mut again = Cluster::new(Disk::Of(B), heard, "data", &environment);
    assert_eq!((again.id(), again.take_unwritten(Established)), (B, None));
}

fn update() -> Update<Operation> {
    let (user, movie) = (UserId(9), MovieId(1));
    Update {
        id: UpdateId::new(SessionId(7), 1),
        prev: Timestamp::new(),
        time: Time(1),
        operation: Operation::Delete { user, movie },
    }
}

#[test]
fn a_cluster_is_established_by_updates_and_a_second_server_or_a_disk() {
    let (environment, own) = (Environment::seeded(1), ReplicaId::new(1, 10));
    let new = Cluster::new(Disk::Empty, None, "data", &environment);
    let kept = Cluster::new(Disk::Of(A), None, "data", &environment);
    let check = |replica: &Replica<Ratings>, expected| {
        assert_eq!(new.standing(replica), expected);
        assert_eq!(kept.standing(replica), Established);
    };
    let value = fixture::replica(own, []).value().clone();
    check(&Replica::new(own, value, Limits::default()), Candidate);
    let mut replica = fixture::replica(own, []);
    check(&replica, Founded);
    replica.update(update(), Time(1)).expect("it is taken");
    check(&replica, Founded);
    replica.meet([ReplicaId::new(2, 1)]);
    check(&replica, Established);
    let with_another = fixture::replica(own, [ReplicaId::new(2, 1)]);
    check(&with_another, Founded);
    // Time establishes those who are several.
    let mut aged = Cluster::new(Disk::Empty, None, "data", &environment);
    for replica in [fixture::replica(own, []), with_another] {
        let is_alone = super::is_alone(&replica);
        (0..GROWN).for_each(|_| aged.age(&replica));
        let expected = if is_alone { Founded } else { Established };
        assert_eq!(aged.standing(&replica), expected);
    }
}
