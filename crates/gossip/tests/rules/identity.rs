//! [+] An update is known by its id and what it is: an id that is used twice names two.

use super::*;

/// Two updates with the id of `update(1, [])`, but for that of other contents and another time.
fn twins() -> [Update<u64>; 3] {
    let one = update(1, []);
    [
        one.clone(),
        Update {
            operation: 99,
            ..one.clone()
        },
        Update {
            time: Time(one.time.0 + 1),
            operation: 100,
            ..one
        },
    ]
}

fn hear(from: &Replica<Trace>, to: &mut Replica<Trace>) {
    for _ in 0..2 {
        to.receive(from.message(to.id(), Scope::All), NOW)
            .expect("a message");
    }
}

fn sorted(replica: &Replica<Trace>) -> Vec<u64> {
    let mut operations = replica.value().0.clone();
    operations.sort_unstable();
    operations
}

/// Each of two replicas has taken another; all end with both, by records and by states.
#[test]
fn two_updates_with_one_id_are_executed_once_each_everywhere() {
    for (log_bytes, twin) in [(1 << 20, 1), (1 << 20, 2), (0, 1), (0, 2)] {
        let limits = Limits {
            log_bytes,
            ..Limits::default()
        };
        let (mut one, mut two) = (founded(ONE, limits), founded(TWO, limits));
        one.meet([TWO]);
        two.meet([ONE]);
        let twins = twins();
        one.update(twins[0].clone(), NOW).expect("accepted");
        two.update(twins[twin].clone(), NOW).expect("accepted");
        for _ in 0..3 {
            hear(&one, &mut two);
            hear(&two, &mut one);
        }
        let both = [twins[0].operation, twins[twin].operation];
        assert_eq!((sorted(&one), sorted(&two)), (both.to_vec(), both.to_vec()));
        assert_eq!(one.value_ts(), two.value_ts());
        assert_eq!((one.log_len(), two.log_len()), (0, 0));
        // Each is a retry now, wherever.
        for replica in [&mut one, &mut two] {
            for (at, update) in twins.iter().enumerate() {
                let retry = replica.update(update.clone(), NOW);
                match at == 0 || at == twin {
                    true => assert_eq!(retry.expect("answered").number, None),
                    false => {
                        let id = update.id;
                        assert_eq!(retry, Err(Refusal::UpdateIdReused { id }));
                    }
                }
            }
        }
    }
}

/// The same where both wait for something, and where one comes as a record while the other
/// waits.
#[test]
fn two_updates_with_one_id_wait_side_by_side() {
    let prev = ts([(THREE, 1)]);
    let [first, second, third] = twins().map(|update| Update {
        prev: prev.clone(),
        ..update
    });
    let mut one = replica(ONE);
    let ts = one.update(first.clone(), NOW).expect("accepted").ts;
    let id = first.id;
    for other in [&second, &third] {
        let refusal = Refusal::UpdateIdReused { id };
        assert_eq!(one.update(other.clone(), NOW), Err(refusal));
    }
    let twin = Record::new(TWO, 1, second.clone()).expect("it can be");
    one.receive(offer(TWO, [(TWO, 1)], vec![twin]), NOW)
        .expect("a record");
    assert_eq!(one.waiting_len(), 2);
    for (update, given) in [(&first, &ts), (&second, &self::ts([(TWO, 1), (THREE, 1)]))] {
        let again = one.update(update.clone(), NOW).expect("answered");
        assert_eq!((&again.ts, again.number), (given, None));
    }
    one.receive(
        offer(THREE, [(THREE, 1)], vec![record((THREE, 1), 5, [])]),
        NOW,
    )
    .expect("the cause");
    assert_eq!(sorted(&one), [1, 5, 99]);
}

/// What a session would never see, since it has seen what is dated later, is taken from
/// nobody but answered to who sends it again.
#[test]
fn a_retry_is_answered_where_it_is_known_and_taken_nowhere() {
    let mut one = replica(ONE);
    let accepted = one.update(update(1, []), NOW).expect("accepted");
    let waits = update(2, [(THREE, 1)]);
    let waiting = one.update(waits.clone(), NOW).expect("accepted");
    let before = one.clone();
    for (update, first) in [(update(1, []), &accepted), (waits, &waiting)] {
        let again = one.retry(&update, NOW).expect("answered");
        let again = again.expect("it is known");
        assert_eq!((&again.ts, again.number), (&first.ts, None));
    }
    assert_eq!(one.retry(&update(3, []), NOW), Ok(None));
    let [_, other, _] = twins();
    let reused = Refusal::UpdateIdReused { id: other.id };
    assert_eq!(one.retry(&other, NOW), Err(reused));
    assert_eq!(one, before);
    // Who cannot tell refuses.
    let new = Replica::new(TWO, Trace::default(), Limits::default());
    let not_joined = Refusal::NotJoined { replica: TWO };
    assert_eq!(new.retry(&update(1, []), NOW), Err(not_joined));
    one.advance(Time(NOW.0 + 3_600_000_000));
    let late = one.retry(&update(3, []), NOW);
    assert!(matches!(late, Err(Refusal::TooLate { .. })), "{late:?}");
    one.meet([ReplicaId::end(ONE.server)]);
    let retired = Refusal::Retired { replica: ONE };
    assert_eq!(one.retry(&update(3, []), NOW), Err(retired));
}

/// Nothing is acknowledged that was not compared: however many updates have come since.
#[test]
fn an_old_number_with_other_contents_is_refused() {
    let mut one = replica(ONE);
    for sequence in 1..=200 {
        one.update(update(sequence, []), NOW).expect("accepted");
    }
    for sequence in 1..=200 {
        let again = one.update(update(sequence, []), NOW).expect("answered");
        assert_eq!(again.number, None);
        assert!(again.ts.count(ONE) >= sequence);
        let other = Update {
            operation: 1_000,
            ..update(sequence, [])
        };
        let id = other.id;
        assert_eq!(one.update(other, NOW), Err(Refusal::UpdateIdReused { id }));
    }
    assert_eq!(one.value().0.len(), 200);
}

/// Of a session that goes on the digests of what is settled are forgotten, not which numbers
/// are executed: one of them is too late, or used twice.
#[test]
fn what_is_settled_of_a_session_that_goes_on_is_not_taken_again() {
    const LATE: u64 = 1_000;
    let limits = Limits {
        late: Duration::from_micros(LATE),
        ..Limits::default()
    };
    let mut one = founded(ONE, limits);
    let made = |sequence: u64| Update {
        time: Time(sequence * 100),
        ..update(sequence, [])
    };
    for sequence in 1..=200 {
        let update = made(sequence);
        let now = update.time;
        one.update(update, now).expect("accepted");
    }
    let now = Time(20_000);
    let mut blocks = 0;
    (0..64).for_each(|_| blocks += one.advance(now).blocks.len());
    let executed = one.executed(SessionId(7)).expect("it goes on").clone();
    assert_eq!(
        (blocks, executed.blocks().len(), executed.runs),
        (2, 2, vec![1..=200])
    );
    let horizon = one.horizon();
    for sequence in [1, 64, 100] {
        let by = horizon.since(made(sequence).time);
        let too_late = Err(Refusal::TooLate { by });
        assert_eq!(one.update(made(sequence), now), too_late);
        let anew = Update {
            time: now,
            ..made(sequence)
        };
        let id = anew.id;
        assert_eq!(one.update(anew, now), Err(Refusal::UpdateIdReused { id }));
    }
    // As a record of another replica one of today is executed: it has another identity.
    let anew = Update {
        time: now,
        operation: 500,
        ..made(1)
    };
    let record = Record::new(TWO, 1, anew).expect("it can be");
    one.receive(offer(TWO, [(TWO, 1)], vec![record]), NOW)
        .expect("a record");
    assert_eq!(one.value().0.last(), Some(&500));
}

/// What would leave too many gaps is refused as not done; what fills one is taken.
#[test]
fn the_gaps_of_a_session_are_bounded() {
    let mut one = replica(ONE);
    let runs = 1_024;
    for number in 1..=runs {
        one.update(update(2 * number, []), NOW).expect("accepted");
    }
    let far = Update {
        id: UpdateId::new(SessionId(7), u64::MAX),
        ..update(5, [])
    };
    let id = far.id;
    assert_eq!(one.update(far, NOW), Err(Refusal::TooManyGaps { id }));
    one.update(update(3, []), NOW).expect("it fills one");
    one.update(update(2 * runs + 2, []), NOW)
        .expect("there is room");
    // As records of others all are executed.
    let records = (1..=2).map(|number| {
        let update = update(10 * runs + 2 * number, []);
        Record::new(TWO, number, update).expect("it can be")
    });
    one.receive(offer(TWO, [(TWO, 2)], records.collect()), NOW)
        .expect("records");
    assert_eq!(one.value().0.len() as u64, runs + 4);
}

/// A disk that names the end of its server, or a later life, is not taken up: nor does anything
/// of it seem to be lost.
#[test]
fn what_is_stored_by_one_that_is_retired_is_refused() {
    for end in [ReplicaId::end(1), ReplicaId::new(1, 9)] {
        let own = ReplicaId::new(1, 5);
        let mut before = replica(ONE);
        before.update(update(1, []), NOW).expect("accepted");
        let checkpoint = before.state();
        before.meet([end]);
        let retired = Err(MalformedState::Retired { replica: own });
        let disk = State {
            from: own,
            ..before.state()
        };
        let mut after = newcomer(own);
        assert_eq!(after.receive(Message::State(Box::new(disk)), NOW), retired);
        // Where it was heard after the last checkpoint.
        let state = State {
            from: own,
            ..checkpoint
        };
        after
            .receive(Message::State(Box::new(state)), NOW)
            .expect("a state");
        let members = knowing(offer(own, [], vec![]), [end]);
        assert_eq!(after.receive(members, NOW), retired);
    }
}
