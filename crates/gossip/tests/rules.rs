//! A test for each rule, with its source.
//!
//! [L] is Ladin, Liskov, Shrira, Ghemawat, ACM TOCS 10(4), 1992; [C] is Coulouris,
//! Dollimore, Kindberg, Blair, 5th edition, 18.4.1; [+] marks rules that the
//! sources leave open.

#![expect(
    unused_must_use,
    reason = "what a test does not look at shows in what it looks at"
)]

#[path = "rules/believing.rs"]
mod believing;
#[path = "rules/bounds.rs"]
mod bounds;
#[path = "rules/clocks.rs"]
mod clocks;
#[path = "rules/folding.rs"]
mod folding;
#[path = "rules/identity.rs"]
mod identity;
#[path = "rules/joining.rs"]
mod joining;
#[path = "rules/settling.rs"]
mod settling;
#[path = "rules/versions.rs"]
mod versions;

use std::time::Duration;

use backfence_gossip::{
    Digest, Limits, LogEntry, MalformedState, Message, Offer, Record, Refusal, Replica, ReplicaId,
    Scope, SessionId, Standing, State, Time, Timestamp, Update, UpdateId, Value,
};

const ONE: ReplicaId = ReplicaId::new(1, 1);
const TWO: ReplicaId = ReplicaId::new(2, 1);
const THREE: ReplicaId = ReplicaId::new(3, 1);
const NOW: Time = Time(1_000_000);

/// The operations in the order in which they took effect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Trace(Vec<u64>);

impl Value for Trace {
    type Operation = u64;

    fn apply(&mut self, update: &Update<u64>) {
        self.0.push(update.operation);
    }

    fn merge(&mut self, other: Self) {
        let new = other
            .0
            .into_iter()
            .filter(|operation| !self.0.contains(operation));
        let new: Vec<_> = new.collect();
        self.0.extend(new);
    }

    fn size(_: &u64) -> usize {
        8
    }

    fn digest(update: &Update<u64>) -> Digest {
        digest(update.time, update.operation)
    }

    /// Version 2 brings operations from a million on.
    fn version(operation: &u64) -> u32 {
        1 + u32::from(*operation >= 1_000_000)
    }
}

fn digest(time: Time, operation: u64) -> Digest {
    Digest((u128::from(time.0) << 64 | u128::from(operation)).to_be_bytes())
}

/// One of a cluster that started together.
fn replica(id: ReplicaId) -> Replica<Trace> {
    founded(id, Limits::default())
}

fn founded(id: ReplicaId, limits: Limits) -> Replica<Trace> {
    let mut replica = Replica::new(id, Trace::default(), limits);
    replica.found();
    replica
}

/// One that has just started, and does not know who takes part.
fn newcomer(id: ReplicaId) -> Replica<Trace> {
    Replica::new(id, Trace::default(), Limits::default())
}

fn ts<const N: usize>(entries: [(ReplicaId, u64); N]) -> Timestamp {
    entries.into_iter().collect()
}

/// Update `sequence` of session 7, which does `sequence`, at time `sequence`.
fn update<const N: usize>(sequence: u64, prev: [(ReplicaId, u64); N]) -> Update<u64> {
    Update {
        id: UpdateId::new(SessionId(7), sequence),
        prev: ts(prev),
        time: Time(sequence),
        operation: sequence,
    }
}

fn record<const N: usize>(
    (origin, number): (ReplicaId, u64),
    sequence: u64,
    prev: [(ReplicaId, u64); N],
) -> Record<u64> {
    Record::new(origin, number, update(sequence, prev)).expect("a record that can be")
}

fn offer<const N: usize>(
    from: ReplicaId,
    replica_ts: [(ReplicaId, u64); N],
    records: Vec<Record<u64>>,
) -> Message<Trace> {
    Message::Offer(Offer {
        from,
        replica_ts: ts(replica_ts),
        members: vec![from],
        ended: vec![],
        records,
        more: false,
        standing: Standing::Joined,
        horizon: Time::default(),
        settled: Time::default(),
    })
}

/// The same message, from one that knows these.
fn knowing<const N: usize>(message: Message<Trace>, members: [ReplicaId; N]) -> Message<Trace> {
    let mut offer = offered(message);
    offer.members.extend(members);
    Message::Offer(offer)
}

fn offered(message: Message<Trace>) -> Offer<u64> {
    match message {
        Message::Offer(offer) => offer,
        Message::State(state) => panic!("a state instead of records: {state:?}"),
    }
}

/// [L] 3.2: an update's timestamp is its prev with the entry of the replica that
/// accepted it, and that entry counts the updates of the replica.
#[test]
fn the_timestamp_is_prev_and_the_next_number() {
    let mut one = replica(ONE);
    let first = one.update(update(1, [(TWO, 4)]), NOW).expect("accepted");
    assert_eq!(first.ts, ts([(ONE, 1), (TWO, 4)]));
    let second = one.update(update(2, []), NOW).expect("accepted");
    assert_eq!((second.ts, second.number), (ts([(ONE, 2)]), Some(2)));
    assert_eq!(*one.replica_ts(), ts([(ONE, 2)]));
    let stored = one
        .record(ONE, 1)
        .expect("what must be stored is to be had");
    assert_eq!(stored.ts(), first.ts);
}

/// [L] 3.2: an update that is ready is executed at once, another waits in the log;
/// [+] the reply never waits.
#[test]
fn a_stable_update_is_applied_another_waits() {
    let mut one = replica(ONE);
    one.update(update(1, []), NOW).expect("accepted");
    one.update(update(2, [(TWO, 1)]), NOW).expect("accepted");
    one.update(update(3, [(ONE, 1)]), NOW).expect("accepted");
    assert_eq!((one.value(), one.waiting_len()), (&Trace(vec![1, 3]), 1));
    // Trap 2: number 2 waits although the value timestamp has reached 3.
    assert_eq!(*one.value_ts(), ts([(ONE, 3)]));
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 4, [])]), NOW)
        .expect("records");
    assert_eq!(
        (one.value(), one.waiting_len()),
        (&Trace(vec![1, 3, 4, 2]), 0)
    );
}

/// [L] 3.2, [C]: a query is answered when prev <= value_ts; [+] after a wait the
/// test is made again.
#[test]
fn a_query_is_answered_only_from_a_value_that_covers_prev() {
    let mut one = replica(ONE);
    let prev = ts([(TWO, 2)]);
    assert!(one.query(&prev, NOW).expect("not refused").is_none());
    assert_eq!(one.missing(&prev), ts([(TWO, 1)]));
    one.receive(offer(TWO, [(TWO, 2)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    assert!(one.query(&prev, NOW).expect("not refused").is_none());
    assert_eq!(one.missing(&prev), ts([(TWO, 2)]));
    one.receive(offer(TWO, [(TWO, 2)], vec![record((TWO, 2), 2, [])]), NOW)
        .expect("records");
    let view = one
        .query(&prev, NOW)
        .expect("not refused")
        .expect("it covers");
    assert_eq!((view.value, view.ts), (&Trace(vec![1, 2]), &prev));
}

/// [+] Query: what is missing is pulled from peers that reported to have it, else
/// from all.
#[test]
fn missing_records_are_pulled_from_who_has_them() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [(TWO, 1)], vec![]), NOW)
        .expect("a report");
    one.receive(offer(THREE, [(TWO, 2), (THREE, 1)], vec![]), NOW)
        .expect("a report");
    assert_eq!(one.sources(&ts([(TWO, 2)])), [THREE]);
    assert_eq!(one.sources(&ts([(TWO, 3)])), [TWO, THREE]);
}

/// [+] Update 1: an update dated further ahead than the clocks may differ would win
/// over every later one.
#[test]
fn an_update_from_the_future_is_refused_with_how_long_to_wait() {
    let mut one = replica(ONE);
    let skew = Limits::default().max_skew;
    let dated = |time: Time| Update {
        time,
        ..update(1, [])
    };
    let just_too_late = Time(NOW.after(skew).0 + 1);
    let retry_after = Duration::from_micros(1);
    let refusal = Refusal::ClockAhead { retry_after };
    assert_eq!(one.update(dated(just_too_late), NOW), Err(refusal));
    assert_eq!((one.replica_ts(), one.log_len()), (&Timestamp::new(), 0));
    one.update(dated(NOW.after(skew)), NOW).expect("accepted");
    // Rule 2 comes first: a retry is answered by whatever clock.
    one.update(dated(NOW.after(skew)), Time(0))
        .expect("the first reply again");
}

/// [+] Update 1: nobody can have seen what this replica has not issued.
#[test]
fn a_forged_timestamp_is_refused() {
    let mut one = replica(ONE);
    one.update(update(1, []), NOW).expect("accepted");
    let forged = Refusal::ForgedTimestamp {
        replica: ONE,
        claimed: 2,
        issued: 1,
    };
    assert_eq!(one.update(update(2, [(ONE, 2)]), NOW), Err(forged.clone()));
    assert_eq!(one.query(&ts([(ONE, 2)]), NOW).map(|_| ()), Err(forged));
    assert_eq!(*one.replica_ts(), ts([(ONE, 1)]));
}

/// [L] 3.2: a message for an update that was processed is answered as before.
#[test]
fn a_retry_gets_the_first_reply() {
    let mut one = replica(ONE);
    for (sequence, prev) in [(1, ts([])), (2, ts([(TWO, 1)]))] {
        let update = Update {
            prev,
            ..update(sequence, [])
        };
        let first = one.update(update.clone(), NOW).expect("accepted");
        let again = one.update(update.clone(), NOW).expect("answered");
        assert_eq!((again.ts, again.number), (first.ts, None));
        for other in [
            Update {
                operation: 99,
                ..update.clone()
            },
            Update {
                time: Time(99),
                ..update.clone()
            },
        ] {
            let refusal = Refusal::UpdateIdReused { id: update.id };
            assert_eq!(one.update(other, NOW), Err(refusal));
        }
    }
    assert_eq!((one.value(), one.log_len()), (&Trace(vec![1]), 1));
}

/// [+] Update: a reply's clock is at least every time received, but not physical time, which
/// may be wrong.
#[test]
fn the_clock_of_a_reply_covers_every_time_received() {
    let mut one = replica(ONE);
    let first = one.update(update(1, []), NOW).expect("accepted");
    assert_eq!(first.clock, Time(1));
    let ahead = Update {
        time: Time(NOW.0 + 5),
        ..update(2, [])
    };
    let ahead = Record::new(TWO, 1, ahead).expect("a record that can be");
    one.receive(offer(TWO, [(TWO, 1)], vec![ahead]), NOW)
        .expect("records");
    let view = one
        .query(&ts([]), NOW)
        .expect("not refused")
        .expect("it covers");
    assert_eq!(view.clock, Time(NOW.0 + 5));
}

/// [+] Gossip 1 and trap 1: per origin the next record is accepted, nothing else;
/// replica_ts grows by what arrived, never by what the sender claims to have.
#[test]
fn records_are_accepted_in_order_without_holes() {
    let mut one = replica(ONE);
    let records = vec![
        record((TWO, 2), 2, []),
        record((TWO, 1), 1, []),
        record((TWO, 1), 1, []),
        record((TWO, 3), 3, []),
        record((THREE, 1), 4, []),
        record((THREE, 2), 5, []),
    ];
    let received = one
        .receive(offer(TWO, [(TWO, 9)], records), NOW)
        .expect("records");
    assert_eq!(received.accepted, [(TWO, 1..=1), (THREE, 1..=2)]);
    assert_eq!(received.ignored, 3);
    assert_eq!(*one.replica_ts(), ts([(TWO, 1), (THREE, 2)]));
    assert_eq!(one.reported(TWO), Some(&ts([(TWO, 9)])));
}

/// [L] 3.2: records that are ready are applied in an order in which causes come
/// before effects, whatever the order in which they came.
#[test]
fn causes_are_applied_before_effects() {
    let mut one = replica(ONE);
    let records = vec![
        record((THREE, 1), 3, [(TWO, 2)]),
        record((TWO, 1), 1, []),
        record((TWO, 2), 2, [(TWO, 1)]),
    ];
    one.receive(offer(TWO, [(TWO, 2)], records), NOW)
        .expect("records");
    assert_eq!(*one.value(), Trace(vec![1, 2, 3]));
}

/// Trap 3: a record may wait below the value timestamp of its origin, and what it
/// waits for may come only then; its effects must come after it all the same.
#[test]
fn an_effect_does_not_overtake_a_cause_that_is_set_free_with_it() {
    let mut one = replica(ONE);
    let records = vec![
        record((TWO, 1), 1, [(THREE, 1)]),
        record((TWO, 2), 2, [(TWO, 1), (THREE, 1)]),
        record((TWO, 3), 3, []),
    ];
    one.receive(offer(TWO, [(TWO, 3)], records), NOW)
        .expect("records");
    assert_eq!(*one.value(), Trace(vec![3]));
    one.receive(
        offer(THREE, [(THREE, 1)], vec![record((THREE, 1), 4, [])]),
        NOW,
    )
    .expect("records");
    assert_eq!(*one.value(), Trace(vec![3, 4, 1, 2]));
}

/// [+] Gossip 2, trap 4: an update with two records takes effect once, and its
/// other timestamp is merged when that record is stable, not before.
#[test]
fn the_second_record_of_an_update_counts_when_it_is_stable() {
    let mut one = replica(ONE);
    one.update(update(1, []), NOW).expect("accepted");
    let other = record((TWO, 1), 1, [(THREE, 1)]);
    one.receive(offer(TWO, [(TWO, 1)], vec![other]), NOW)
        .expect("records");
    assert_eq!((one.value_ts(), one.waiting_len()), (&ts([(ONE, 1)]), 1));
    one.receive(
        offer(THREE, [(THREE, 1)], vec![record((THREE, 1), 2, [])]),
        NOW,
    )
    .expect("records");
    assert_eq!(*one.value_ts(), ts([(ONE, 1), (TWO, 1), (THREE, 1)]));
    assert_eq!(*one.value(), Trace(vec![1, 2]));
}

/// Trap 3: whatever is stable is applied at once, also where a later record of its
/// cause's origin came to be applied first.
#[test]
fn what_a_later_record_makes_stable_is_applied() {
    let mut one = replica(ONE);
    let waits = record((TWO, 1), 1, [(THREE, 1)]);
    one.receive(offer(TWO, [(TWO, 1)], vec![waits]), NOW)
        .expect("records");
    one.update(update(2, [(TWO, 1)]), NOW).expect("accepted");
    assert_eq!(one.waiting_len(), 2);
    one.receive(offer(TWO, [(TWO, 2)], vec![record((TWO, 2), 3, [])]), NOW)
        .expect("records");
    assert_eq!((one.waiting_len(), one.value()), (1, &Trace(vec![3, 2])));
}

/// D2: a driver that stores can ask for the parts of the state one by one; together they
/// are the state.
#[test]
fn the_parts_of_a_state_are_the_state() {
    let mut one = replica(ONE);
    one.update(update(1, []), NOW).expect("accepted");
    one.receive(offer(TWO, [], vec![record((TWO, 1), 2, [(THREE, 1)])]), NOW)
        .expect("records");
    let whole = one.state();
    let session = SessionId(7);
    let executed = one.executed(session).expect("one is executed").clone();
    assert_eq!(whole.executed, [(session, executed.clone())]);
    assert_eq!(executed.runs, [1..=1]);
    assert_eq!(one.executed(SessionId(8)), None);
    assert_eq!(one.waiting().collect::<Vec<_>>(), [(TWO, 1)]);
    let cut = one.cut(whole.value.clone());
    assert!(cut.log.is_empty() && cut.executed.is_empty());
    let parts = State {
        log: whole.log.clone(),
        executed: whole.executed.clone(),
        ..cut
    };
    assert_eq!(parts, whole);
}

/// [L] 3.3: a record is discarded once it is known to be everywhere; trap 7: by
/// what the others reported. [+] And once it is applied here.
#[test]
fn a_record_goes_when_it_is_applied_and_known_everywhere() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.receive(knowing(offer(THREE, [], vec![]), [TWO]), NOW)
        .expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    one.update(update(2, [(TWO, 1)]), NOW).expect("accepted");
    one.update(update(3, []), NOW).expect("accepted");
    assert_eq!(offered(one.message(TWO, Scope::All)).records.len(), 3);
    assert_eq!(one.log_len(), 3);
    one.receive(offer(TWO, [(ONE, 3)], vec![]), NOW)
        .expect("a report");
    assert_eq!(one.log_len(), 3);
    one.receive(offer(THREE, [(ONE, 3)], vec![]), NOW)
        .expect("a report");
    assert_eq!(
        one.log_len(),
        2,
        "the waiting one stays, and what follows it"
    );
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 4, [])]), NOW)
        .expect("records");
    one.receive(offer(THREE, [(TWO, 1)], vec![]), NOW)
        .expect("a report");
    assert_eq!(one.log_len(), 0);
}

/// [+] An earlier life of a server is dead and holds nothing back.
#[test]
fn a_later_incarnation_takes_the_place_of_an_earlier() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    let reborn = ReplicaId::new(2, 2);
    one.receive(offer(reborn, [(ONE, 1)], vec![]), NOW)
        .expect("a report");
    assert_eq!(one.log_len(), 0);
    assert_eq!(one.members().collect::<Vec<_>>(), [ONE, TWO, reborn]);
}

/// [+] Retirement: a replica takes nothing from one that it knows to be retired, and
/// serves no more when it is retired itself.
#[test]
fn the_retired_neither_speak_nor_serve() {
    let mut one = replica(ONE);
    one.meet([ReplicaId::new(2, 2)]);
    let late = offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]);
    let received = one.receive(late, NOW).expect("it is heard");
    assert!(received.retired && one.replica_ts().is_empty());
    one.meet([ReplicaId::new(1, 2)]);
    assert!(one.is_retired());
    let refusal = Refusal::Retired { replica: ONE };
    assert_eq!(one.update(update(1, []), NOW), Err(refusal.clone()));
    assert_eq!(one.query(&ts([]), NOW).map(|_| ()), Err(refusal));
}

/// [+] Retirement: it counts at a replica that has joined, once every other member has
/// reported to know all who remain, and all that they have of the retired is here.
#[test]
fn a_retirement_counts_when_nothing_more_can_come() {
    let reborn = ReplicaId::new(2, 2);
    let report = |from, has: &[(ReplicaId, u64)], knows: &[ReplicaId], standing| {
        Message::Offer(Offer {
            from,
            replica_ts: has.iter().copied().collect(),
            members: knows.to_vec(),
            ended: vec![],
            records: vec![],
            more: false,
            standing,
            horizon: Time::default(),
            settled: Time::default(),
        })
    };
    let mut one = replica(ONE);
    one.meet([THREE]);
    one.update(update(1, [(TWO, 9)]), NOW).expect("accepted");
    let all = [ONE, reborn, THREE];
    let steps = [
        (
            report(reborn, &[], &all, Standing::New),
            "three has said nothing",
        ),
        (
            report(THREE, &[(TWO, 1)], &[ONE, THREE], Standing::Joined),
            "three does not know",
        ),
        (
            report(THREE, &[(TWO, 1)], &all, Standing::Joined),
            "three has a record that is not here",
        ),
    ];
    for (report, why) in steps {
        one.receive(report, NOW).expect("a report");
        assert_eq!(one.waiting_len(), 1, "{why}");
    }
    one.receive(offer(THREE, [], vec![record((TWO, 1), 2, [])]), NOW)
        .expect("records");
    assert_eq!(one.value(), &Trace(vec![2, 1]));
    // The effect carries what is lost: it must not be stable where that may still come.
    assert_eq!(*one.value_ts(), ts([(ONE, 1), (TWO, 9)]));
    let view = one
        .query(&ts([(TWO, 9)]), NOW)
        .expect("not refused")
        .expect("it covers");
    assert_eq!(view.lost, [TWO]);
    let next = one.update(update(3, [(TWO, 9)]), NOW).expect("accepted");
    assert_eq!(next.lost, [TWO]);
}

/// [+] Members: one that knows of nobody, or of too few, counts nothing.
#[test]
fn no_retirement_counts_before_joining() {
    let own = ReplicaId::new(1, 2);
    let mut reborn = newcomer(own);
    reborn
        .receive(offer(TWO, [], vec![record((TWO, 1), 1, [(ONE, 1)])]), NOW)
        .expect("records");
    assert!(!reborn.has_joined(), "the member does not know it");
    reborn
        .receive(knowing(offer(TWO, [(TWO, 2)], vec![]), [own]), NOW)
        .expect("a report");
    assert!(!reborn.has_joined(), "it has not all that the member has");
    assert_eq!(reborn.waiting_len(), 1);
    reborn
        .receive(knowing(offer(TWO, [(TWO, 1)], vec![]), [own]), NOW)
        .expect("a report");
    assert!(reborn.has_joined());
    assert_eq!(reborn.waiting_len(), 0);
}

/// [+] Members: after a crash of all, hearing from all counts as joining, but only
/// where all but one came back with their disks: each member is on two.
#[test]
fn after_a_crash_of_all_hearing_from_all_is_joining() {
    let own = ReplicaId::new(1, 2);
    for (standings, joined) in [
        ([Standing::Recovered, Standing::Recovered], true),
        ([Standing::Recovered, Standing::New], true),
        ([Standing::New, Standing::New], false),
    ] {
        let mut one = newcomer(own);
        let disk = knowing(offer(own, [], vec![]), [ONE, TWO, THREE]);
        one.receive(disk, NOW).expect("its own disk");
        assert_eq!(one.standing(), Standing::Recovered);
        for (from, standing) in [TWO, THREE].into_iter().zip(standings) {
            assert!(!one.has_joined());
            let mut report = offered(knowing(offer(from, [(TWO, 9)], vec![]), [own]));
            report.standing = standing;
            one.receive(Message::Offer(report), NOW).expect("a report");
        }
        assert_eq!(one.has_joined(), joined, "{standings:?}");
    }
}

/// [+] Members: a new server is sent nothing before a second member knows it, or one
/// lost disk would take it out of memory. Where there is no second one, at once.
#[test]
fn a_new_server_waits_for_a_second_member_to_know_it() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    let sent = |one: &Replica<Trace>, to| {
        let records = offered(one.message(to, Scope::All)).records.len();
        assert_eq!(one.has_news_for(to, Scope::All), records > 0);
        records
    };
    assert_eq!(sent(&one, TWO), 1, "there is no other");
    one.receive(offer(THREE, [], vec![]), NOW)
        .expect("a report");
    assert_eq!(sent(&one, THREE), 0, "two has not reported to know it");
    one.receive(knowing(offer(TWO, [], vec![]), [THREE]), NOW)
        .expect("a report");
    assert_eq!(sent(&one, THREE), 1);
    let reborn = ReplicaId::new(3, 2);
    one.receive(offer(reborn, [], vec![]), NOW)
        .expect("a report");
    assert_eq!(sent(&one, reborn), 1, "the server is known");
    assert_eq!(sent(&one, THREE), 0, "that life of it is over");
}

/// [+] Retirement by hand: the server holds nothing back, nothing of it is taken or
/// waited for, and where it learns of it, it stops.
#[test]
fn a_server_is_retired_for_good() {
    let mut one = replica(ONE);
    one.found();
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, [(TWO, 9)]), NOW).expect("accepted");
    assert_eq!((one.waiting_len(), one.log_len()), (1, 1));
    assert!(one.retire(2));
    assert!(!one.retire(2), "it is retired already");
    assert_eq!((one.waiting_len(), one.log_len()), (0, 0));
    assert_eq!(*one.value(), Trace(vec![1]));
    let view = one.query(&ts([(TWO, 9)]), NOW).expect("not refused");
    assert_eq!(view.expect("it covers").lost, [TWO]);

    let late = offer(ReplicaId::new(2, 7), [], vec![record((TWO, 1), 2, [])]);
    let received = one.receive(late, NOW).expect("it is left alone");
    assert!(received.retired && received.accepted.is_empty());

    let mut two = replica(TWO);
    let received = two
        .receive(one.message(TWO, Scope::All), NOW)
        .expect("a report");
    assert!(received.met && two.is_retired());
    let refusal = Err(Refusal::Retired { replica: TWO });
    assert_eq!(two.query(&ts([]), NOW).map(|_| ()), refusal);
}

/// [+] What i sends to j: what j lacks by its own report, in runs without holes,
/// bounded; to one that has not reported, nothing.
#[test]
fn a_message_is_bounded_and_without_holes() {
    let limits = Limits {
        message_bytes: 250,
        ..Limits::default()
    };
    let mut one = founded(ONE, limits);
    one.receive(offer(THREE, [], vec![]), NOW)
        .expect("a report");
    let others = vec![record((TWO, 1), 9, []), record((TWO, 2), 8, [])];
    one.receive(knowing(offer(TWO, [(TWO, 2)], others), [THREE]), NOW)
        .expect("records");
    for sequence in 1..=3 {
        one.update(update(sequence, []), NOW).expect("accepted");
    }
    let unheard = ReplicaId::new(4, 1);
    assert!(offered(one.message(unheard, Scope::All)).records.is_empty());
    assert!(!one.has_news_for(unheard, Scope::All));
    let mut has = ts([]);
    let mut came = Vec::new();
    for _ in 0..5 {
        let Message::Offer(mut report) = offer(THREE, [], vec![]) else {
            unreachable!()
        };
        report.replica_ts = has.clone();
        one.receive(Message::Offer(report), NOW).expect("a report");
        let sent = offered(one.message(THREE, Scope::All));
        assert!(sent.records.len() <= 2);
        for record in &sent.records {
            assert_eq!(record.number(), has.count(record.origin()) + 1, "a hole");
            has.raise(record.origin(), record.number());
            came.push((record.origin(), record.number()));
        }
        assert_eq!(sent.more, sent.replica_ts.beyond(&has).next().is_some());
    }
    assert_eq!(came, [(ONE, 1), (ONE, 2), (ONE, 3), (TWO, 1), (TWO, 2)]);
    let pushed = offered(one.message(TWO, Scope::Own));
    assert!(pushed.records.iter().all(|record| record.origin() == ONE));
}

/// B13: the original recursed; here ten thousand updates that wait for one are set
/// free by it, in order.
#[test]
fn ten_thousand_updates_may_wait() {
    let mut one = replica(ONE);
    for sequence in 2..=10_001 {
        let after = update(sequence, [(TWO, 1), (ONE, sequence - 2)]);
        one.update(after, NOW).expect("accepted");
    }
    assert_eq!((one.waiting_len(), one.value().0.len()), (10_000, 0));
    one.receive(offer(TWO, [(TWO, 1)], vec![record((TWO, 1), 1, [])]), NOW)
        .expect("records");
    assert_eq!(one.value().0, (1..=10_001).collect::<Vec<_>>());
}

/// [+] Over its budget the log lets applied records go, and takes no update that
/// would have to wait: waiting records may not go.
#[test]
fn a_full_log_keeps_what_waits_and_refuses_more_of_it() {
    let limits = Limits {
        log_bytes: 300,
        ..Limits::default()
    };
    let mut one = founded(ONE, limits);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    for sequence in 1..=9 {
        one.update(update(sequence, []), NOW).expect("accepted");
    }
    assert_eq!(one.log_len(), 2);
    for sequence in 10..=12 {
        one.update(update(sequence, [(TWO, 1)]), NOW)
            .expect("accepted");
    }
    let refusal = Refusal::LogFull { waiting: 3 };
    assert_eq!(one.update(update(13, [(TWO, 1)]), NOW), Err(refusal));
    one.update(update(14, []), NOW)
        .expect("a stable update is still accepted");
    assert!(matches!(one.message(TWO, Scope::All), Message::State(_)));
}

/// [+] State transfer: a record that waits at one side goes on waiting only if the
/// other side lacks it, or it waits there too.
#[test]
fn a_join_applies_what_either_side_has_applied() {
    let waits = || record((TWO, 1), 1, [(THREE, 1)]);
    let mut one = replica(ONE);
    one.receive(offer(TWO, [(TWO, 1)], vec![waits()]), NOW)
        .expect("records");
    let mut two = replica(TWO);
    two.receive(offer(ONE, [], vec![]), NOW).expect("a report");
    two.receive(
        offer(THREE, [(THREE, 1)], vec![record((THREE, 1), 2, [])]),
        NOW,
    )
    .expect("records");
    two.update(update(1, [(THREE, 1)]), NOW).expect("accepted");
    let received = one
        .receive(Message::State(Box::new(two.state())), NOW)
        .expect("a state");
    assert!(received.joined);
    assert_eq!((one.value(), one.waiting_len()), (two.value(), 0));
    assert_eq!(one.value_ts(), two.value_ts());

    let mut three = replica(THREE);
    three
        .receive(offer(TWO, [(TWO, 1)], vec![waits()]), NOW)
        .expect("records");
    let before = replica(ONE).state();
    three
        .receive(Message::State(Box::new(before)), NOW)
        .expect("a state");
    assert_eq!(
        three.waiting_len(),
        1,
        "a side that lacks it says nothing about it"
    );
}

/// [+] State transfer: the executed table comes along.
#[test]
fn a_retry_is_known_after_a_join() {
    let mut one = replica(ONE);
    let first = one.update(update(1, []), NOW).expect("accepted");
    let mut two = replica(TWO);
    two.receive(Message::State(Box::new(one.state())), NOW)
        .expect("a state");
    let again = two.update(update(1, []), NOW).expect("answered");
    assert_eq!((again.ts, again.number), (first.ts, None));
}

/// A state that no replica can be in is refused, and changes nothing.
#[test]
fn a_malformed_state_is_refused() {
    let mut one = replica(ONE);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one.update(update(1, []), NOW).expect("accepted");
    let good = one.state();
    let entry = |number| LogEntry {
        record: record((ONE, number), number, []),
        waiting: false,
    };
    let check = |change: &dyn Fn(&mut State<Trace>), error| {
        let mut state = good.clone();
        change(&mut state);
        let mut two = replica(TWO);
        let received = two.receive(Message::State(Box::new(state)), NOW);
        assert_eq!(received, Err(error));
        assert_eq!(
            (two.value(), two.replica_ts()),
            (&Trace::default(), &ts([]))
        );
    };
    let hole = MalformedState::Hole { origin: ONE };
    check(&|state| state.log.push(entry(3)), hole);
    check(&|state| state.log.clear(), hole);
    check(&|state| state.replica_ts = ts([(ONE, 2)]), hole);
    check(&|state| state.floor = ts([(ONE, 1)]), hole);
    check(
        &|state| state.value_ts = ts([(ONE, 2)]),
        MalformedState::ValueAhead,
    );
}

/// A record that names itself as its cause can be nobody's.
#[test]
fn a_record_cannot_depend_on_itself() {
    assert_eq!(Record::new(ONE, 1, update(1, [(ONE, 1)])), None);
    assert_eq!(Record::new(ONE, 0, update(1, [])), None);
}

/// What stays in the log since a member has not reported to have it is counted, and
/// nothing is once the member is retired.
#[test]
fn a_member_holds_back_what_it_has_not_reported() {
    let mut one = replica(ONE);
    one.meet([TWO, THREE]);
    for sequence in 1..=3 {
        one.update(update(sequence, []), NOW).expect("accepted");
    }
    let held = |one: &Replica<Trace>| [ONE, TWO, THREE].map(|peer| one.holds_back(peer));
    assert_eq!(held(&one), [0, 3, 3]);
    one.receive(offer(TWO, [(ONE, 2)], vec![]), NOW)
        .expect("a report");
    assert_eq!(held(&one), [0, 1, 3]);
    one.receive(offer(THREE, [(ONE, 1)], vec![]), NOW)
        .expect("a report");
    // The first is with all of them, and gone.
    assert_eq!((one.log_len(), held(&one)), (2, [0, 1, 2]));
    assert!(one.retire(THREE.server));
    assert_eq!((one.log_len(), held(&one)), (1, [0, 1, 0]));
    assert!(one.has_retired(THREE) && !one.has_retired(TWO));
    assert_eq!(one.holds_back(ReplicaId::end(THREE.server)), 0);
}
