//! [+] What a peer says and cannot be is refused, and changes nothing.

use backfence_gossip::{MAX_MEMBERS, MAX_SERVERS, Unbelievable};

use super::*;

/// One of two, with an update of its own.
fn one() -> Replica<Trace> {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    one
}

fn refused(message: Message<Trace>, why: impl Fn(Unbelievable) -> bool) {
    let mut one = one();
    let before = one.clone();
    match one.receive(message, NOW) {
        Err(MalformedState::Unbelievable(error)) if why(error) => {}
        other => panic!("{other:?}"),
    }
    assert!(one == before, "nothing has changed");
}

fn overflows(why: Unbelievable) -> bool {
    why == Unbelievable::Overflow
}

fn is_ahead(why: Unbelievable) -> bool {
    matches!(why, Unbelievable::Ahead { .. })
}

/// A state that TWO could have sent, but for what is changed in it.
fn state(change: impl FnOnce(&mut State<Trace>)) -> Message<Trace> {
    let mut two = replica(TWO);
    two.receive(offer(THREE, [], vec![]), NOW)
        .expect("a report");
    two.update(update(2, []), NOW).expect("accepted");
    let mut state = two.state();
    change(&mut state);
    Message::State(Box::new(state))
}

const HUGE: u64 = u64::MAX - 1;

#[test]
fn counts_without_end_are_refused() {
    refused(offer(TWO, [(TWO, HUGE)], vec![]), overflows);
    refused(
        offer(TWO, [(ReplicaId::new(4, HUGE - 1), 1)], vec![]),
        overflows,
    );
    let caused = record((TWO, 1), 2, [(THREE, HUGE)]);
    refused(offer(TWO, [(TWO, 1)], vec![caused]), overflows);
    refused(offer(TWO, [], vec![record((TWO, HUGE), 2, [])]), overflows);
    for change in [
        |state: &mut State<Trace>| state.replica_ts = ts([(TWO, HUGE)]),
        |state: &mut State<Trace>| state.value_ts = ts([(TWO, HUGE)]),
        |state: &mut State<Trace>| state.floor = ts([(TWO, HUGE)]),
        |state: &mut State<Trace>| state.finals = ts([(TWO, HUGE)]),
        |state: &mut State<Trace>| {
            let older = state.executed[0].1.older.get_or_insert_default();
            older.ts = ts([(TWO, HUGE)]);
        },
        |state: &mut State<Trace>| state.executed[0].1.replies[0].ts = ts([(TWO, HUGE)]),
        |state: &mut State<Trace>| state.members.push(ReplicaId::new(4, HUGE)),
    ] {
        refused(state(change), overflows);
    }
    // Nor is a client's word for it taken.
    let claims = one().update(update(2, [(TWO, HUGE)]), NOW);
    assert!(matches!(claims, Err(Refusal::ForgedTimestamp { .. })));
}

#[test]
fn a_state_from_ahead_of_time_is_refused() {
    let end = Time(u64::MAX);
    for change in [
        |state: &mut State<Trace>, end| state.clock = end,
        |state: &mut State<Trace>, end| state.settled = end,
        |state: &mut State<Trace>, end| state.executed[0].1.latest = end,
        |state: &mut State<Trace>, end| {
            let older = state.executed[0].1.older.get_or_insert_default();
            older.unknown = end;
        },
        |state: &mut State<Trace>, end| {
            let update = Update {
                time: end,
                ..update(2, [])
            };
            let record = Record::new(TWO, 1, update).expect("a record that can be");
            state.log[0].record = record;
        },
    ] {
        refused(state(|state| change(state, end)), is_ahead);
    }
    let says = Offer {
        settled: end,
        ..offered(offer(TWO, [], vec![]))
    };
    refused(Message::Offer(says), is_ahead);
}

/// Each life has a new id, so nobody can have more of one than it has made.
#[test]
fn nobody_has_more_of_a_replica_than_it_has_made() {
    let never = |why| {
        why == Unbelievable::NeverMade {
            claimed: 2,
            made: 1,
        }
    };
    refused(offer(TWO, [(ONE, 2)], vec![]), never);
    let mut one = one();
    let forged = vec![record((ONE, 2), 5, []), record((TWO, 1), 2, [])];
    let received = one.receive(offer(TWO, [], forged), NOW).expect("the rest");
    assert_eq!(
        (received.held, one.value()),
        (vec![ONE], &Trace(vec![1, 2]))
    );
}

/// A server hears that it was started anew, or retired, from those who remain; not from who
/// says to be itself.
#[test]
fn nobody_bears_the_number_of_ones_own_server() {
    for from in [ReplicaId::end(1), ReplicaId::new(1, 2)] {
        let own = |why| why == Unbelievable::OwnServer { from };
        refused(offer(from, [], vec![]), own);
        assert!(own(one().may_be(from).expect_err("not met")));
    }
    assert_eq!(one().may_be(ReplicaId::end(2)), Err(Unbelievable::Overflow));
    assert_eq!(one().may_be(ReplicaId::new(2, 5)), Ok(()));
    let mut one = one();
    let tells = knowing(offer(TWO, [], vec![]), [ReplicaId::end(1)]);
    one.receive(tells, NOW).expect("a report");
    assert!(one.is_retired());
}

#[test]
fn there_are_only_so_many_servers_and_lives() {
    let crowd = |why| why == Unbelievable::TooMany;
    let invented = |count: usize| {
        let servers = (0..count as u32).map(|server| ReplicaId::new(1000 + server, 1));
        Message::Offer(Offer {
            members: servers.collect(),
            ..offered(offer(TWO, [], vec![]))
        })
    };
    refused(invented(5000), crowd);
    // This one and its peer are there already.
    refused(invented(MAX_SERVERS - 1), crowd);
    let mut one = one();
    one.receive(invented(MAX_SERVERS - 2), NOW)
        .expect("as many as there may be");
    assert_eq!(one.may_be(ReplicaId::new(9, 1)), Err(Unbelievable::TooMany));
    assert_eq!(one.may_be(TWO), Ok(()));
    let lives = (0..=MAX_MEMBERS as u64).map(|life| ReplicaId::new(3, life));
    let lives = Offer {
        members: lives.collect(),
        ..offered(offer(TWO, [], vec![]))
    };
    refused(Message::Offer(lives), crowd);
}
