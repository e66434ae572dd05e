//! [+] What comes too late, and what is forgotten since nothing can come so late.

use std::time::Duration;

use backfence_gossip::{
    Advanced, Limits, Message, Offer, Record, Refusal, Replica, ReplicaId, SessionId, Time,
};

use crate::{ONE, THREE, TWO, Trace, founded, newcomer, offer, offered, record, ts, update};

/// Long after all updates of these tests, which are dated 1 to 9.
const LATER: Time = Time(1_000);
/// The horizon then: a multiple of an eighth of `late`.
const HORIZON: Time = Time(920);

/// Limits by which an update may be dated 80 us ago.
fn limits() -> Limits {
    Limits {
        late: Duration::from_micros(80),
        ..Limits::default()
    }
}

/// One of three that know each other.
fn one() -> Replica<Trace> {
    let mut one = founded(ONE, limits());
    one.meet([TWO, THREE]);
    one
}

/// Records, or none, of a peer that has received `has`, and for which `settled` is settled.
fn said(
    from: ReplicaId,
    has: &[(ReplicaId, u64)],
    records: Vec<Record<u64>>,
    settled: Time,
) -> Message<Trace> {
    Message::Offer(Offer {
        replica_ts: has.iter().copied().collect(),
        members: vec![ONE, TWO, THREE],
        horizon: HORIZON,
        settled,
        ..offered(offer(from, [], records))
    })
}

fn receive(replica: &mut Replica<Trace>, message: Message<Trace>) -> usize {
    replica
        .receive(message, LATER)
        .expect("no malformed state")
        .ignored
}

#[test]
fn what_is_dated_before_the_horizon_is_too_late() {
    let mut one = founded(ONE, limits());
    let first = one.update(update(1, []), LATER).expect("accepted");
    for now in [Time(1_005), LATER, Time(50)] {
        one.advance(now);
        // It moves in steps, and never back.
        assert_eq!(one.horizon(), HORIZON);
    }
    let mut late = update(9, []);
    late.time = Time(919);
    let by = Duration::from_micros(1);
    assert_eq!(
        one.update(late.clone(), LATER),
        Err(Refusal::TooLate { by })
    );
    late.time = HORIZON;
    assert!(one.update(late, LATER).is_ok());
    assert_eq!(first.number, Some(1));
}

/// Nothing older is anywhere: all have reported a horizon, and all that they reported with
/// it is applied here.
#[test]
fn the_past_is_settled_when_all_that_was_reported_is_here() {
    let mut one = one();
    receive(&mut one, said(TWO, &[(TWO, 1)], vec![], Time(0)));
    assert!(!one.advance(LATER).settled, "three has not reported");
    receive(&mut one, said(THREE, &[], vec![], Time(0)));
    assert!(!one.advance(LATER).settled, "a record of two is not here");
    let waits = record((TWO, 1), 2, [(THREE, 1)]);
    receive(&mut one, said(TWO, &[(TWO, 1)], vec![waits], Time(0)));
    assert!(!one.advance(LATER).settled, "it waits");
    let cause = record((THREE, 1), 1, []);
    receive(&mut one, said(THREE, &[(THREE, 1)], vec![cause], Time(0)));
    assert!(one.advance(LATER).settled);
    assert_eq!(
        (one.settled(), one.settled_everywhere()),
        (HORIZON, Time(0))
    );
    receive(&mut one, said(TWO, &[(TWO, 1)], vec![], HORIZON));
    assert_eq!(one.settled_everywhere(), Time(0));
    receive(&mut one, said(THREE, &[(THREE, 1)], vec![], Time(910)));
    assert_eq!(one.settled_everywhere(), Time(910));
    assert_eq!(one.release(|_, before| before), Time(910));
    assert_eq!(one.advance(LATER), Advanced::default());
}

#[test]
fn nothing_is_settled_before_one_has_joined_or_while_a_life_may_bring_more() {
    let mut new = newcomer(ONE);
    new.advance(Time(u64::MAX));
    assert_eq!(new.settled(), Time(0));
    let mut one = one();
    for peer in [TWO, THREE] {
        receive(&mut one, said(peer, &[], vec![], Time(0)));
    }
    let reborn = ReplicaId::new(3, 2);
    receive(&mut one, said(reborn, &[], vec![], Time(0)));
    assert!(
        !one.advance(LATER).settled,
        "two does not know it, and may take more of its earlier life"
    );
    let mut knows = offered(said(TWO, &[], vec![], Time(0)));
    knows.members.push(reborn);
    receive(&mut one, Message::Offer(knows));
    assert!(one.advance(LATER).settled);
}

/// [L] 3.2: a cid is forgotten when no message with it can come any more.
#[test]
fn what_is_settled_is_forgotten_and_a_retry_of_it_refused() {
    let mut one = founded(ONE, limits());
    one.update(update(1, []), LATER).expect("accepted");
    assert!(
        one.update(update(1, []), LATER)
            .is_ok_and(|again| again.number.is_none())
    );
    let advanced = one.advance(LATER);
    assert_eq!(
        (advanced.settled, advanced.forgotten),
        (true, vec![SessionId(7)])
    );
    assert!(one.executed(SessionId(7)).is_none());
    let by = Duration::from_micros(919);
    assert_eq!(
        one.update(update(1, []), LATER),
        Err(Refusal::TooLate { by })
    );
    assert_eq!(one.value().0, [1]);
}

/// Whoever comes back with an old disk may have another record of an update that was
/// executed and forgotten.
#[test]
fn a_record_from_before_is_taken_with_the_whole_state_only() {
    let mut one = one();
    one.update(update(1, []), LATER).expect("accepted");
    for peer in [TWO, THREE] {
        receive(&mut one, said(peer, &[], vec![], Time(0)));
    }
    one.advance(LATER);
    let again = record((TWO, 1), 1, []);
    let ignored = receive(
        &mut one,
        said(TWO, &[(TWO, 1)], vec![again.clone()], Time(0)),
    );
    assert_eq!((ignored, one.value().0.as_slice()), (1, [1].as_slice()));
    // Who has it sends its state when it hears what is settled.
    let mut two = founded(TWO, limits());
    two.update(update(1, []), LATER).expect("accepted");
    receive(&mut two, said(THREE, &[], vec![], Time(0)));
    receive(&mut two, said(ONE, &[(ONE, 1)], vec![], Time(0)));
    two.update(update(2, []), LATER).expect("accepted");
    receive(&mut two, said(ONE, &[(ONE, 1), (TWO, 1)], vec![], HORIZON));
    let message = two.message(ONE, backfence_gossip::Scope::All);
    assert!(matches!(message, Message::State(_)));
    receive(&mut one, message);
    assert_eq!(one.value().0, [1, 2]);
    assert_eq!(*one.value_ts(), ts([(ONE, 1), (TWO, 2)]));
    // From its log neither.
    assert_eq!(one.advance(LATER).forgotten, [SessionId(7)]);
    let mut three = founded(THREE, limits());
    three.meet([ONE, TWO]);
    three.update(update(1, []), LATER).expect("accepted");
    assert_eq!(three.log_len(), 1);
    receive(&mut one, Message::State(Box::new(three.state())));
    assert_eq!(one.value().0, [1, 2]);
    assert_eq!(one.value_ts().count(THREE), 1);
}

/// It would be applied once more where it was executed by another record.
#[test]
fn what_waits_and_is_settled_elsewhere_is_given_up() {
    for (settled, has, late) in [(HORIZON, 0, 1), (Time(1), 0, 0), (HORIZON, 1, 0)] {
        let mut back = newcomer(THREE);
        let waits = record((TWO, 1), 1, [(ONE, 1)]);
        receive(&mut back, said(TWO, &[(TWO, 1)], vec![waits], Time(0)));
        assert_eq!(back.waiting_len(), 1);
        let report = said(ONE, &[(TWO, has)], vec![], settled);
        let received = back.receive(report, LATER).expect("a report");
        assert_eq!((received.late.len(), back.waiting_len()), (late, 1 - late));
        assert_eq!(received.joined, late == 1, "it is to be so on the disk");
        assert!(back.value().0.is_empty());
        assert_eq!(
            back.horizon(),
            HORIZON,
            "it joins by one that takes nothing older"
        );
    }
}

/// A deletion is forgotten where it is settled everywhere: a value from before brings back
/// nothing, whichever way it comes.
#[test]
fn a_value_from_before_brings_nothing_back() {
    let forget = |value: &mut Trace, _| value.0.retain(|operation| *operation != 1);
    let mut one = founded(ONE, limits());
    one.update(update(1, []), LATER).expect("accepted");
    let old = Message::State(Box::new(one.state()));
    let mut two = newcomer(TWO);
    two.receive(old.clone(), LATER).expect("a state");
    assert_eq!(two.value().0, [1]);
    one.update(update(2, []), LATER).expect("accepted");
    one.release(forget);
    // Late, to one that has more.
    let Message::State(mut state) = old else {
        unreachable!("it is a state")
    };
    state.from = TWO;
    receive(&mut one, Message::State(state));
    assert_eq!(one.value().0, [2]);
    // To one that was away since, and has accepted something of its own.
    two.found();
    two.update(update(3, []), LATER).expect("accepted");
    two.receive(Message::State(Box::new(one.state())), LATER)
        .expect("a state");
    assert_eq!(two.value().0, [2, 3]);
    assert_eq!(*two.value_ts(), ts([(ONE, 2), (TWO, 1)]));
}

/// Then each brings what may be older than what is settled at the other, deletions too.
#[test]
fn nothing_is_released_until_all_have_two_pasts_that_were_joined() {
    let mut one = founded(ONE, limits());
    let mut two = founded(TWO, limits());
    one.update(update(1, []), LATER).expect("accepted");
    two.update(update(2, []), LATER).expect("accepted");
    let state = two.state();
    receive(&mut one, Message::State(Box::new(state)));
    assert_eq!(one.value().0, [1, 2]);
    one.advance(LATER);
    let report = |has: &[(ReplicaId, u64)]| said(TWO, has, vec![], HORIZON);
    receive(&mut one, report(&[(TWO, 1)]));
    receive(
        &mut one,
        said(THREE, &[(ONE, 1), (TWO, 1)], vec![], HORIZON),
    );
    one.advance(LATER);
    assert_eq!(one.settled_everywhere(), Time(0));
    receive(&mut one, report(&[(ONE, 1), (TWO, 1)]));
    assert_eq!(one.settled_everywhere(), one.settled());
    assert_eq!(one.settled(), HORIZON);
}
