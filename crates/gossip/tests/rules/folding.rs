//! Letting go of lives that are over.

use backfence_gossip::{
    MalformedState, Message, Offer, Received, Replica, ReplicaId, Scope, Standing, State, Time,
    Timestamp,
};

use crate::{NOW, ONE, THREE, TWO, Trace, newcomer, offer, offered, record, replica, ts, update};

/// Server 2 in its next life.
const REBORN: ReplicaId = ReplicaId::new(2, 2);
const FOLD: (ReplicaId, u64) = (TWO, Timestamp::ALL);

/// A report of one that knows all who remain, and has `ended` as over.
fn report(from: ReplicaId, has: &[(ReplicaId, u64)], ended: &[ReplicaId]) -> Message<Trace> {
    Message::Offer(Offer {
        replica_ts: has.iter().copied().collect(),
        members: vec![ONE, REBORN, THREE],
        ended: ended.to_vec(),
        ..offered(offer(from, [], vec![]))
    })
}

/// Server 1, which has a record of server 2's first life and has heard that all who
/// remain know of its second.
fn one() -> Replica<Trace> {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    for from in [REBORN, THREE] {
        one.receive(report(from, &[(TWO, 1)], &[]), NOW)
            .expect("a report");
    }
    one
}

/// The same, when it is over everywhere.
fn folded() -> Replica<Trace> {
    let mut one = one();
    for from in [REBORN, THREE] {
        one.receive(report(from, &[(TWO, 1)], &[TWO]), NOW)
            .expect("a report");
    }
    one
}

/// D4: the closed incarnations of a server are folded once everyone has all of them.
#[test]
fn lives_are_folded_when_they_are_over_everywhere() {
    let mut one = one();
    assert_eq!(
        one.ended().collect::<Vec<_>>(),
        [ReplicaId::new(1, 0), TWO, ReplicaId::new(3, 0)]
    );
    one.receive(report(REBORN, &[(TWO, 1)], &[TWO]), NOW)
        .expect("a report");
    assert_eq!(
        *one.replica_ts(),
        ts([(TWO, 1)]),
        "three has not said that it has all"
    );
    one.receive(report(THREE, &[(TWO, 1)], &[TWO]), NOW)
        .expect("a report");
    assert_eq!(
        (one.replica_ts(), one.value_ts()),
        (&ts([FOLD]), &ts([FOLD]))
    );
    assert_eq!(one.members().collect::<Vec<_>>(), [ONE, REBORN, THREE]);
    // Nothing that names it makes it known again.
    assert!(!one.meet([TWO]));
    let next = one.update(update(2, [(TWO, 1)]), NOW).expect("accepted");
    assert_eq!(next.ts, ts([(TWO, 1), (ONE, 1)]));
    assert_eq!(one.waiting_len(), 0);
}

/// Whoever has folded them has heard it from all, so one such report is enough.
#[test]
fn a_fold_is_followed_where_all_of_it_is_here() {
    let mut one = one();
    one.receive(report(THREE, &[FOLD], &[TWO]), NOW)
        .expect("a report");
    assert_eq!(*one.replica_ts(), ts([FOLD]));
}

#[test]
fn nothing_is_folded_while_a_record_of_it_waits() {
    let cause = ReplicaId::new(3, 1);
    let mut one = replica(ONE);
    one.receive(
        offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [(cause, 1)])]),
        NOW,
    )
    .expect("records");
    for from in [REBORN, THREE] {
        one.receive(report(from, &[(TWO, 1)], &[TWO]), NOW)
            .expect("a report");
    }
    assert_eq!((one.waiting_len(), one.replica_ts()), (1, &ts([(TWO, 1)])));
    one.receive(
        offer(THREE, [(cause, 1)], vec![record((cause, 1), 2, [])]),
        NOW,
    )
    .expect("records");
    assert_eq!(
        (one.waiting_len(), one.replica_ts()),
        (0, &ts([FOLD, (cause, 1)]))
    );
}

/// A fold in `prev` asks for all that there ever was: who does not know that it has that
/// does not answer.
#[test]
fn a_fold_is_waited_for() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    let prev = ts([FOLD]);
    assert!(one.query(&prev, NOW).expect("not refused").is_none());
    assert_eq!(one.missing(&prev), ts([(TWO, 2)]));
    one.update(update(2, [FOLD]), NOW).expect("accepted");
    assert_eq!(one.waiting_len(), 1);
    for from in [REBORN, THREE] {
        one.receive(report(from, &[(TWO, 1)], &[]), NOW)
            .expect("a report");
    }
    // Over here, and folded nowhere yet.
    assert_eq!(one.waiting_len(), 0);
    assert!(one.query(&prev, NOW).expect("not refused").is_some());
}

/// A session is told of what it has seen and nobody has, also when that is folded away;
/// of the last lives of a server.
#[test]
fn what_is_lost_is_told_after_the_fold() {
    let one = folded();
    let lost = |prev| {
        let view = one.query(&ts(prev), NOW).expect("not refused");
        view.expect("it covers").lost
    };
    assert_eq!(lost([(TWO, 1)]), []);
    assert_eq!(lost([(TWO, 2)]), [TWO]);
    assert_eq!(lost([FOLD]), []);
}

/// Each fold takes the place of the one before; the last lives are remembered apart.
#[test]
fn what_is_lost_is_told_after_another_fold() {
    let mut one = folded();
    let again = ReplicaId::new(2, 3);
    for from in [again, THREE] {
        let mut knows = offered(report(from, &[FOLD], &[REBORN]));
        knows.members = vec![ONE, again, THREE];
        one.receive(Message::Offer(knows), NOW).expect("a report");
    }
    assert_eq!(*one.replica_ts(), ts([(REBORN, Timestamp::ALL)]));
    let view = one.query(&ts([(TWO, 2)]), NOW).expect("not refused");
    assert_eq!(view.expect("it covers").lost, [TWO]);
}

/// What an old disk alone has of lives that are gone, and waits for a cause, is made
/// again: with the state of the others that cause may come. Not where it is too late: then
/// others may have executed it, and have forgotten that.
#[test]
fn what_waits_among_lives_that_are_gone_is_made_again() {
    let seven = update(7, []).id;
    let (old, received) = back_with_an_old_disk(NOW);
    assert_eq!((old.waiting_len(), old.value().0.contains(&7)), (0, true));
    let record = old.record(old.id(), 2).expect("a record of its own");
    assert_eq!((record.update().id, received.late), (seven, vec![]));
    let (old, received) = back_with_an_old_disk(Time(u64::MAX / 2));
    assert_eq!((old.waiting_len(), old.value().0.contains(&7)), (0, false));
    assert_eq!(received.late, [seven]);
}

/// A server with records of a life that the others have folded, of which one waits, after
/// it has joined the state of one for which it is `now`; and what came of that.
fn back_with_an_old_disk(now: Time) -> (Replica<Trace>, Received) {
    let mut one = folded();
    one.update(update(3, []), NOW).expect("accepted");
    one.advance(now);
    let own = ReplicaId::new(4, 2);
    let mut old = newcomer(own);
    let disk = vec![record((TWO, 1), 1, []), record((TWO, 2), 7, [(ONE, 1)])];
    let mut stored = offered(offer(own, [], disk));
    stored.members = vec![TWO, THREE];
    old.receive(Message::Offer(stored), NOW)
        .expect("its own disk");
    old.meet([ONE, REBORN, THREE]);
    assert_eq!(old.waiting_len(), 1);
    for from in [REBORN, THREE] {
        let mut knows = offered(report(from, &[FOLD], &[TWO]));
        knows.members.push(own);
        one.receive(Message::Offer(knows), NOW).expect("a report");
    }
    one.receive(Message::Offer(old.report()), NOW)
        .expect("a report");
    let received = old
        .receive(one.message(own, Scope::All), now)
        .expect("a state");
    (old, received)
}

/// What waits on an old disk and another has too stays as it is, however late: others may
/// have applied it already.
#[test]
fn what_waits_and_another_has_too_is_not_given_up() {
    let own = ReplicaId::new(4, 2);
    let mut old = newcomer(own);
    let disk = vec![
        record((TWO, 1), 1, [(THREE, 1)]),
        record((TWO, 2), 7, []),
        record((TWO, 3), 8, [(THREE, 1)]),
    ];
    let mut stored = offered(offer(own, [], disk));
    stored.members = vec![TWO, THREE];
    old.receive(Message::Offer(stored), NOW)
        .expect("its own disk");
    old.meet([ONE, REBORN, THREE]);
    let has = [(TWO, 1), (THREE, 1)];
    let late = Offer {
        horizon: NOW,
        ..offered(report(THREE, &has, &[TWO]))
    };
    let received = old
        .receive(Message::Offer(late), NOW)
        .expect("a report of one for which the life is over");
    assert!(received.joined, "it makes what it has its own");
    assert_eq!(received.late, [update(8, []).id], "nobody else has this");
    assert_eq!(old.waiting().collect::<Vec<_>>(), [(TWO, 1)]);
    let cause = vec![record((THREE, 1), 2, [])];
    old.receive(offer(THREE, has, cause), NOW)
        .expect("the cause");
    assert_eq!((old.waiting_len(), &old.value().0[..]), (0, &[7, 2, 1][..]));
}

/// Where all others have lost their disks and begun anew, an old disk has what they let go of
/// as lost, although they have folded more lives than it has.
#[test]
fn what_was_lost_before_another_fold_comes_back_as_an_update() {
    let again = ReplicaId::new(2, 3);
    let mut anew = replica(ONE);
    anew.meet([TWO, REBORN]);
    for ended in [&[][..], &[REBORN]] {
        for from in [again, THREE] {
            let mut knows = offered(report(from, &[], ended));
            knows.members = vec![ONE, REBORN, again, THREE];
            anew.receive(Message::Offer(knows), NOW).expect("a report");
        }
    }
    assert_eq!(*anew.replica_ts(), ts([(REBORN, Timestamp::ALL)]));

    let own = ReplicaId::new(4, 2);
    let mut old = newcomer(own);
    let from = own;
    let disk = State {
        from,
        ..folded().state()
    };
    old.receive(Message::State(Box::new(disk)), NOW)
        .expect("its own disk");
    old.meet([ONE, again, THREE]);
    assert_eq!((old.replica_ts(), &old.value().0), (&ts([FOLD]), &vec![1]));
    old.receive(Message::State(Box::new(anew.state())), NOW)
        .expect("a state");
    let both = ts([(REBORN, Timestamp::ALL), (own, 1)]);
    assert_eq!((old.replica_ts(), &old.value().0), (&both, &vec![1]));
    anew.receive(Message::State(Box::new(old.state())), NOW)
        .expect("a state");
    assert_eq!((anew.value_ts(), &anew.value().0), (&both, &vec![1]));
}

/// Nobody can say of a life that it is over where no later one is known: so a message
/// cannot end who receives it.
#[test]
fn the_living_are_not_ended_by_a_message() {
    let mut one = replica(ONE);
    for (has, ended) in [(vec![], vec![ONE]), (vec![(ONE, Timestamp::ALL)], vec![])] {
        let mut forged = offered(offer(TWO, [], vec![]));
        forged.replica_ts = has.into_iter().collect();
        forged.ended = ended;
        let error = one
            .receive(Message::Offer(forged), NOW)
            .expect_err("refused");
        assert_eq!(error, MalformedState::EndOfTheLiving { replica: ONE });
    }
    one.update(update(1, []), NOW).expect("it serves on");
}

/// Nobody folds while a member has reported to have less: it takes no more of it then.
#[test]
fn nothing_is_folded_while_somebody_has_less() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    let three = |ended| report(THREE, &[(TWO, 1)], ended);
    for message in [report(REBORN, &[], &[]), three(&[])] {
        one.receive(message, NOW).expect("a report");
    }
    assert!(one.ended().any(|last| last == TWO));
    for message in [report(REBORN, &[], &[TWO]), three(&[TWO])] {
        one.receive(message, NOW).expect("a report");
    }
    assert_eq!(*one.replica_ts(), ts([(TWO, 1)]));
    one.receive(report(REBORN, &[(TWO, 1)], &[TWO]), NOW)
        .expect("a report");
    assert!(one.replica_ts().has_folded(TWO));
}

/// Who lacks all of it, and does not know that it is over, is sent the state.
#[test]
fn what_is_folded_is_passed_on_with_the_state() {
    let mut one = folded();
    let four = ReplicaId::new(4, 1);
    let mut newcomer = newcomer(four);
    newcomer.meet([ONE, REBORN, THREE]);
    for from in [REBORN, THREE] {
        let mut knows = offered(report(from, &[(TWO, 1)], &[TWO]));
        knows.members.push(four);
        one.receive(Message::Offer(knows), NOW).expect("a report");
    }
    one.receive(Message::Offer(newcomer.report()), NOW)
        .expect("a report");
    assert!(one.has_news_for(four, Scope::All));
    let state = one.message(four, Scope::All);
    assert!(matches!(state, Message::State(_)));
    newcomer.receive(state, NOW).expect("a state");
    assert_eq!(newcomer.replica_ts(), one.replica_ts());
    assert_eq!(newcomer.value(), one.value());
    assert!(newcomer.has_joined());
    one.receive(Message::Offer(newcomer.report()), NOW)
        .expect("a report");
    assert!(!one.has_news_for(four, Scope::All));
}

/// A disk from before may hold more than those who did not wait for it: it takes their
/// state, and they take its own.
#[test]
fn a_past_that_nobody_waited_for_comes_back_as_an_update() {
    let mut one = folded();
    let own = ReplicaId::new(4, 2);
    let mut old = newcomer(own);
    let disk = vec![record((TWO, 1), 1, []), record((TWO, 2), 7, [])];
    let mut stored = offered(offer(own, [], disk));
    stored.members = vec![TWO, THREE];
    stored.standing = Standing::New;
    old.receive(Message::Offer(stored), NOW)
        .expect("its own disk");
    old.meet([ONE, REBORN, THREE]);

    let received = one
        .receive(Message::Offer(old.report()), NOW)
        .expect("a report");
    assert!(received.outdated && received.accepted.is_empty());
    let late = offer(own, [(TWO, 2)], vec![record((TWO, 2), 7, [])]);
    let received = one.receive(late, NOW).expect("records");
    assert!(received.outdated && received.accepted.is_empty());
    for from in [REBORN, THREE] {
        let mut knows = offered(report(from, &[FOLD], &[TWO]));
        knows.members.push(own);
        one.receive(Message::Offer(knows), NOW).expect("a report");
    }

    let received = old
        .receive(one.message(own, Scope::All), NOW)
        .expect("a state");
    assert!(received.joined, "all of it is to be stored");
    assert_eq!(*old.replica_ts(), ts([FOLD, (own, 1)]));
    // They know server 1, so it may be sent something.
    old.receive(report(THREE, &[FOLD], &[TWO]), NOW)
        .expect("a report");
    one.receive(Message::Offer(old.report()), NOW)
        .expect("a report");
    let state = old.message(ONE, Scope::All);
    assert!(matches!(state, Message::State(_)));
    one.receive(state, NOW).expect("a state");
    let sorted = |replica: &Replica<Trace>| {
        let mut all = replica.value().0.clone();
        all.sort_unstable();
        all
    };
    assert_eq!((sorted(&one), sorted(&old)), (vec![1, 7], vec![1, 7]));
    assert_eq!(one.value_ts(), old.value_ts());
}

/// A replica that nobody knows to be over is not told so by a token alone.
#[test]
fn a_replica_that_a_session_has_seen_folded_does_not_serve_it() {
    let two = replica(TWO);
    let refusal = backfence_gossip::Refusal::Retired { replica: TWO };
    assert_eq!(two.query(&ts([FOLD]), NOW).map(|_| ()), Err(refusal));
}

/// Nor is anything taken of one that says itself that it is retired: others may have let go
/// of it, and what it brings would be nowhere but here.
#[test]
fn nothing_is_taken_from_one_that_says_that_it_is_retired() {
    let mut one = replica(ONE);
    let mut last = offered(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]));
    last.members.push(ReplicaId::end(2));
    let received = one
        .receive(Message::Offer(last), NOW)
        .expect("no malformed state");
    assert!(received.retired && received.accepted.is_empty());
    assert_eq!(*one.replica_ts(), ts([]));
}
