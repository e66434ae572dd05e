//! Who takes part, and from when on.

use backfence_gossip::{
    Limits, MalformedState, Message, Received, Refusal, Replica, ReplicaId, Scope, Standing, State,
    Time, Update,
};

use crate::{
    NOW, ONE, THREE, TWO, Trace, knowing, newcomer, offer, offered, record, replica, ts, update,
};

/// [+] Members: whoever drives the replica is told of each new one once, by whatever
/// way it came to be known, so that it stores them.
#[test]
fn each_new_member_is_told_once() {
    let mut one = replica(ONE);
    assert!(one.meet([TWO]));
    assert!(!one.meet([TWO, ONE]));
    let met = |one: &mut Replica<Trace>, message| one.receive(message, NOW).expect("a message").met;
    assert!(!met(&mut one, offer(TWO, [], vec![])));
    let told = || knowing(offer(TWO, [], vec![]), [THREE]);
    assert!(met(&mut one, told()));
    assert!(!met(&mut one, told()));
    let mut four = replica(ReplicaId::new(4, 1));
    let state = || Message::State(Box::new(four.state()));
    assert!(met(&mut one, state()));
    assert!(!met(&mut one, state()));
    let joined = Received {
        joined: true,
        met: true,
        heard: true,
        ..Received::default()
    };
    assert_eq!(
        four.receive(Message::State(Box::new(one.state())), NOW),
        Ok(joined)
    );
}

/// [+] Members: who knows whom is told as soon as it is known, since a new server is sent
/// nothing before two know it.
#[test]
fn a_member_that_a_peer_has_not_reported_is_news_for_it() {
    let mut one = replica(ONE);
    let heard =
        |one: &mut Replica<Trace>, message| one.receive(message, NOW).expect("a message").heard;
    assert!(!one.knows_all(TWO));
    assert!(heard(&mut one, knowing(offer(TWO, [], vec![]), [ONE])));
    assert!(one.knows_all(TWO));
    assert!(!heard(&mut one, knowing(offer(TWO, [], vec![]), [ONE])));
    one.meet([THREE]);
    assert!(!one.knows_all(TWO));
    assert!(heard(&mut one, knowing(offer(TWO, [], vec![]), [THREE])));
    assert!(one.knows_all(TWO));
    let four = Message::State(Box::new(replica(ReplicaId::new(4, 1)).state()));
    assert!(heard(&mut one, four));
}

/// [+] Members: one that has all that a joined member reports, which knows it, has joined;
/// what those report who have not joined themselves says nothing.
#[test]
fn joining_is_having_all_that_a_joined_member_has() {
    for (standing, knows, has, joined) in [
        (Standing::Joined, ONE, 0, true),
        (Standing::Joined, ONE, 1, false),
        (Standing::Joined, THREE, 0, false),
        (Standing::Recovered, ONE, 0, false),
        (Standing::New, ONE, 0, false),
    ] {
        let mut one = newcomer(ONE);
        let mut report = offered(knowing(offer(TWO, [(TWO, has)], vec![]), [knows]));
        report.standing = standing;
        one.receive(Message::Offer(report), NOW).expect("a report");
        assert_eq!(one.has_joined(), joined, "{standing:?} with {has}");
    }
}

/// [+] Members: the first of a cluster waits for nothing that an earlier life of its
/// server had.
#[test]
fn a_founder_lets_retirements_count() {
    let mut one = newcomer(ReplicaId::new(1, 2));
    let refusal = Refusal::NotJoined { replica: one.id() };
    assert_eq!(one.update(update(1, []), NOW), Err(refusal));
    let effect = record((TWO, 1), 1, [(ONE, 1)]);
    one.receive(offer(TWO, [(TWO, 1)], vec![effect]), NOW)
        .expect("records");
    one.retire(2);
    assert_eq!((one.waiting_len(), one.log_len()), (1, 1));
    one.found();
    assert_eq!((one.waiting_len(), one.log_len()), (0, 0));
    assert_eq!(*one.value(), Trace(vec![1]));
}

/// [+] Members: an own disk that names no other server tells of nobody to wait for.
#[test]
fn a_disk_that_names_no_other_server_recovers_nothing() {
    let own = ReplicaId::new(1, 3);
    for (members, standing) in [
        (vec![ONE, ReplicaId::new(1, 2)], Standing::New),
        (vec![ONE, TWO], Standing::Recovered),
        (vec![TWO], Standing::Recovered),
    ] {
        let mut one = newcomer(own);
        let disk = State {
            from: own,
            members: members.clone(),
            ended: vec![],
            ..replica(ONE).state()
        };
        one.receive(Message::State(Box::new(disk)), NOW)
            .expect("its own disk");
        assert_eq!(one.standing(), standing, "{members:?}");
    }
}

/// [+] Members: after a crash of all, those whose end is known count for nothing, and
/// where nobody remains to be heard there is nobody to join by.
#[test]
fn hearing_of_the_end_of_all_others_is_not_joining() {
    let own = ReplicaId::new(1, 2);
    let mut one = newcomer(own);
    one.receive(knowing(offer(own, [], vec![]), [ONE, TWO]), NOW)
        .expect("its own disk");
    let end = ReplicaId::end(2);
    let mut last_words = offered(offer(TWO, [(TWO, 9)], vec![]));
    last_words.members.push(end);
    last_words.standing = Standing::Recovered;
    one.receive(Message::Offer(last_words), NOW)
        .expect("a report");
    assert_eq!(one.standing(), Standing::Recovered);
}

/// [+] Retirement: what only a server had that is retired is not waited for, and who
/// asks is told; what others have of it is waited for still.
#[test]
fn what_is_lost_is_not_waited_for() {
    let mut one = replica(ONE);
    one.found();
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    assert_eq!(
        one.missing(&ts([(TWO, 9), (THREE, 4)])),
        ts([(TWO, 2), (THREE, 1)])
    );
    one.retire(2);
    let prev = ts([(TWO, 9)]);
    assert_eq!(one.missing(&prev), ts([]));
    let view = one.query(&prev, NOW).expect("not refused");
    assert_eq!(view.expect("it covers").lost, [TWO]);
    let view = one.query(&ts([(TWO, 1)]), NOW).expect("not refused");
    assert_eq!(view.expect("it covers").lost, [], "that has come");
    let both = one.query(&ts([(TWO, 9), (THREE, 1)]), NOW);
    assert!(both.expect("not refused").is_none());
}

/// [+] Retirement: it counts only at one that has joined, when every other member knows
/// who remains, and all that they have of the retired is here. What they have of others,
/// or of the life that goes on, does not matter.
#[test]
fn each_condition_of_a_retirement_is_needed() {
    let reborn = ReplicaId::new(2, 2);
    let [new, old] = [[ONE, reborn, THREE], [ONE, TWO, THREE]];
    for (founded, knows, has, counts) in [
        (true, new, ts([]), true),
        (true, new, ts([(reborn, 1), (THREE, 1)]), true),
        (true, new, ts([(TWO, 1)]), false),
        (true, old, ts([]), false),
        (false, new, ts([]), false),
    ] {
        let mut one = newcomer(ONE);
        one.meet([reborn, THREE]);
        let effect = record((THREE, 1), 1, [(TWO, 9)]);
        let mut report = offered(offer(THREE, [], vec![effect]));
        report.standing = Standing::New;
        one.receive(Message::Offer(report), NOW).expect("records");
        if founded {
            one.found();
        }
        for (from, knows) in [(reborn, new), (THREE, knows)] {
            assert_eq!(one.waiting_len(), 1, "all have to be heard");
            let mut report = offered(knowing(offer(from, [], vec![]), knows));
            report.replica_ts = has.clone();
            report.standing = Standing::New;
            one.receive(Message::Offer(report), NOW).expect("a report");
        }
        assert_eq!(one.waiting_len() == 0, counts, "{founded} {knows:?} {has}");
    }
}

/// [+] State transfer: what either side has discarded is gone at both, and a third that
/// lacks it is sent a state by either.
#[test]
fn a_join_keeps_the_higher_floor() {
    let mut one = replica(ONE);
    one.update(update(1, []), NOW).expect("accepted");
    let mut two = replica(TWO);
    two.receive(Message::State(Box::new(one.state())), NOW)
        .expect("a state");
    assert_eq!((two.state().floor, two.log_len()), (ts([(ONE, 1)]), 0));
    two.receive(offer(THREE, [], vec![]), NOW)
        .expect("a report");
    two.receive(knowing(offer(ONE, [(ONE, 1)], vec![]), [THREE]), NOW)
        .expect("a report");
    assert!(matches!(two.message(THREE, Scope::All), Message::State(_)));
}

/// [+] State transfer: a value may be ahead of what was received only by what is lost,
/// so by records of those that are retired.
#[test]
fn a_value_is_ahead_only_by_the_past_of_the_retired() {
    let later = ReplicaId::new(1, 2);
    for (members, answer) in [
        (vec![ONE, later], Ok(())),
        (vec![later], Ok(())),
        (vec![ReplicaId::end(1)], Ok(())),
        (vec![ONE], Err(MalformedState::ValueAhead)),
        (vec![ReplicaId::new(1, 0)], Err(MalformedState::ValueAhead)),
        (vec![ReplicaId::new(3, 2)], Err(MalformedState::ValueAhead)),
    ] {
        let state = State {
            value_ts: ts([(ONE, 1)]),
            members: members.clone(),
            ended: vec![],
            ..replica(TWO).state()
        };
        let mut four = Replica::new(ReplicaId::new(4, 1), Trace::default(), Limits::default());
        let received = four.receive(Message::State(Box::new(state)), NOW);
        assert_eq!(received.map(|_| ()), answer, "{members:?}");
    }
}

/// [+] Members: who is retired is sent a report only, and it learns of its end by it.
#[test]
fn a_push_goes_to_those_who_remain() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    assert!(one.has_news_for(TWO, Scope::Own));
    one.retire(2);
    assert!(!one.has_news_for(TWO, Scope::Own));
}

/// [+] State transfer: a record that neither side has applied waits on, whether one of
/// them lacks it or not, and is applied when what it waits for comes.
#[test]
fn a_join_does_not_take_what_waits_for_applied() {
    let waits = || offer(TWO, [], vec![record((TWO, 1), 1, [(THREE, 1)])]);
    let cause = || offer(THREE, [], vec![record((THREE, 1), 2, [])]);
    for (here, there) in [(true, true), (true, false), (false, true)] {
        let [mut one, mut four] = [ONE, ReplicaId::new(4, 1)].map(replica);
        for (replica, has) in [(&mut one, here), (&mut four, there)] {
            if has {
                replica.receive(waits(), NOW).expect("records");
            }
        }
        one.receive(Message::State(Box::new(four.state())), NOW)
            .expect("a state");
        assert_eq!(one.waiting_len(), 1, "{here} {there}");
        one.receive(cause(), NOW).expect("records");
        assert_eq!((one.value(), one.waiting_len()), (&Trace(vec![2, 1]), 0));
    }
}

/// [+] State transfer: of what both have, only what neither has discarded stays.
#[test]
fn a_join_cuts_the_log_at_the_higher_floor() {
    let records = || (1..=3).map(|number| record((TWO, number), number, []));
    for (discarded, kept) in [(0, 3), (1, 2), (3, 0)] {
        let mut one = replica(ONE);
        one.receive(knowing(offer(TWO, [], vec![]), [THREE]), NOW)
            .expect("a report");
        one.receive(offer(TWO, [], records().collect()), NOW)
            .expect("records");
        let mut state = one.state();
        state.from = THREE;
        state.floor = ts([(TWO, discarded)]);
        state.log.retain(|entry| entry.record.number() > discarded);
        one.receive(Message::State(Box::new(state)), NOW)
            .expect("a state");
        assert_eq!(one.state().floor, ts([(TWO, discarded)]));
        assert_eq!((one.log_len(), one.value()), (kept, &Trace(vec![1, 2, 3])));
    }
}

/// [+] State transfer: the times of all records that the sender had received come along,
/// so that a reply's clock covers them.
#[test]
fn the_clock_comes_along_with_a_state() {
    let mut one = replica(ONE);
    let ahead = Update {
        time: Time(NOW.0 + 5),
        ..update(1, [])
    };
    one.update(ahead, NOW).expect("accepted");
    let mut two = replica(TWO);
    let clock = |two: &Replica<Trace>| {
        let view = two.query(&ts([]), NOW).expect("not refused");
        view.expect("it covers").clock
    };
    assert_eq!(clock(&two), Time(0));
    two.receive(Message::State(Box::new(one.state())), NOW)
        .expect("a state");
    assert_eq!(clock(&two), Time(NOW.0 + 5));
}
