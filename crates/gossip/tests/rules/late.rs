//! What is late, and what is settled.

use std::time::Duration;

use backfence_gossip::{Limits, Message, Refusal, Replica, ReplicaId, Standing, Time, Update};

use crate::{
    NOW, ONE, THREE, TWO, Trace, founded, knowing, newcomer, offer, offered, record, ts, update,
};

const LATE: Duration = Duration::from_micros(1_600);

fn replica(id: ReplicaId) -> Replica<Trace> {
    let limits = Limits {
        late: LATE,
        ..Limits::default()
    };
    founded(id, limits)
}

/// A report of a replica that has this horizon.
fn report<const N: usize>(
    from: ReplicaId,
    replica_ts: [(ReplicaId, u64); N],
    horizon: u64,
) -> Message<Trace> {
    let mut report = offered(offer(from, replica_ts, vec![]));
    report.horizon = Time(horizon);
    Message::Offer(report)
}

fn dated(sequence: u64, time: u64) -> Update<u64> {
    Update {
        time: Time(time),
        ..update(sequence, [])
    }
}

/// [+] Late: the horizon follows physical time in steps and never goes back; what is
/// dated before it is refused, unless it is remembered.
#[test]
fn what_is_too_late_is_refused_for_ever() {
    let mut one = replica(ONE);
    one.update(dated(1, 5), NOW).expect("accepted");
    assert!(one.advance(Time(10_000)));
    assert_eq!(one.horizon(), Time(8_400));
    for (now, moves, horizon) in [
        (9_000, false, 8_400),
        (10_100, false, 8_400),
        (10_101, true, 8_501),
    ] {
        assert_eq!(one.advance(Time(now)), moves, "{now}");
        assert_eq!(one.horizon(), Time(horizon), "{now}");
    }
    let horizon = Time(8_501);
    let late = one.update(dated(2, 8_500), NOW);
    assert_eq!(late, Err(Refusal::TooLate { horizon }));
    assert!(one.update(dated(2, 8_501), NOW).is_ok());
    let restored = Message::State(Box::new(backfence_gossip::State {
        from: ReplicaId::new(1, 2),
        ..one.state()
    }));
    let mut reborn = newcomer(ReplicaId::new(1, 2));
    reborn.receive(restored).expect("its own disk");
    assert_eq!(reborn.horizon(), horizon, "also in a later life");
}

/// [+] Settled: an executed update is forgotten when no member accepts it any more, all
/// that they had accepted has come, nothing that waits is as old, and no record of it
/// may still have to be sent.
#[test]
fn an_update_is_forgotten_when_it_can_come_no_more() {
    let mut one = replica(ONE);
    one.meet([TWO]);
    one.update(dated(1, 100), NOW).expect("accepted");
    assert!(one.advance(Time(5_000)));
    let check = |one: &Replica<Trace>, executed, settled, why| {
        assert_eq!(
            (one.executed_len(), one.settled()),
            (executed, Time(settled)),
            "{why}"
        );
    };
    check(&one, 1, 0, "two has said nothing");
    one.receive(report(TWO, [(TWO, 2)], 200)).expect("a report");
    check(&one, 1, 0, "what two had accepted by then has not come");
    let waits = Update {
        prev: ts([(THREE, 1)]),
        ..dated(3, 120)
    };
    let waits = backfence_gossip::Record::new(TWO, 2, waits).expect("a record");
    one.receive(offer(TWO, [(TWO, 2)], vec![record((TWO, 1), 2, []), waits]))
        .expect("records");
    check(
        &one,
        1,
        120,
        "its record has not come to two, and a record as old waits",
    );
    one.receive(knowing(report(THREE, [], 900), [TWO]))
        .expect("a report");
    one.receive(offer(THREE, [(THREE, 1)], vec![record((THREE, 1), 4, [])]))
        .expect("records");
    one.receive(report(THREE, [(ONE, 1), (TWO, 2), (THREE, 1)], 900))
        .expect("a report");
    one.receive(report(TWO, [(ONE, 1), (TWO, 2), (THREE, 1)], 900))
        .expect("a report");
    check(&one, 0, 900, "all have it");
    let again = one.update(dated(1, 100), NOW);
    assert!(matches!(again, Err(Refusal::TooLate { .. })), "{again:?}");
}

/// [+] Settled: a member that is dead holds it back until its retirement counts.
#[test]
fn the_dead_hold_back_what_is_settled_until_they_are_retired() {
    let mut one = replica(ONE);
    one.meet([TWO]);
    one.advance(Time(5_000));
    assert_eq!(one.settled(), Time(0));
    one.retire(2);
    one.advance(Time(6_000));
    assert_eq!(one.settled(), Time(4_400));
}

/// [+] Late: a replica that joins refuses at once what those whom it heard refuse.
#[test]
fn who_joins_refuses_what_the_others_refuse() {
    let own = ReplicaId::new(1, 2);
    let mut one = newcomer(own);
    let mut joins = offered(knowing(report(TWO, [], 700), [own]));
    joins.standing = Standing::New;
    one.receive(Message::Offer(joins.clone()))
        .expect("a report");
    assert_eq!(one.horizon(), Time(0));
    joins.standing = Standing::Joined;
    joins.horizon = Time(600);
    one.receive(Message::Offer(joins)).expect("a report");
    assert_eq!((one.has_joined(), one.horizon()), (true, Time(700)));
}
