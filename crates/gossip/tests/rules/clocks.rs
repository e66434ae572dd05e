//! [+] A clock that is wrong harms nobody but its own replica, and nobody for longer than it is.

use backfence_gossip::{Skew, Unbelievable};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);
/// Long enough after 1970 for a clock to be behind.
const NOON: Time = Time(1_767_225_600_000_000);

/// One of three that have all joined, after the others have said what their clocks show.
fn one(clocks: &[(ReplicaId, Time)]) -> Replica<Trace> {
    let mut one = replica(ONE);
    for peer in [TWO, THREE] {
        one.receive(knowing(offer(peer, [], vec![]), [ONE, TWO, THREE]), NOON)
            .expect("a report");
    }
    hear(&mut one, clocks);
    one
}

fn hear(one: &mut Replica<Trace>, clocks: &[(ReplicaId, Time)]) {
    for &(peer, theirs) in clocks {
        one.hear_clock(peer, theirs, NOON);
    }
}

fn dated(sequence: u64, time: Time) -> Update<u64> {
    Update {
        time,
        ..update(sequence, [])
    }
}

fn ahead(by: Duration) -> Skew {
    Skew { ahead: true, by }
}

fn behind(by: Duration) -> Skew {
    Skew { ahead: false, by }
}

#[test]
fn who_is_apart_from_the_median_is_suspect() {
    let (early, late) = (NOON.before(HOUR), NOON.after(HOUR));
    for (clocks, suspect) in [
        (&[][..], None),
        (&[(TWO, NOON), (THREE, NOON)], None),
        (&[(TWO, NOON), (THREE, late)], None),
        (&[(TWO, NOON), (THREE, early)], None),
        (&[(TWO, early), (THREE, early)], Some(ahead(HOUR))),
        (&[(TWO, late), (THREE, late)], Some(behind(HOUR))),
        (&[(TWO, early), (THREE, late)], None),
        // Of two the one that is ahead.
        (&[(TWO, early)], Some(ahead(HOUR))),
        (&[(TWO, late)], None),
        // It says nothing.
        (&[(TWO, Time(0))], None),
    ] {
        let one = one(clocks);
        assert_eq!(one.suspect(NOON), suspect, "{clocks:?}");
        let tells = if suspect.is_some() { Time(0) } else { NOON };
        assert_eq!(one.tells(NOON), tells);
    }
    let skew = Limits::default().max_skew;
    let near = [(TWO, NOON.after(skew)), (THREE, NOON.after(skew))];
    assert_eq!(one(&near).suspect(NOON), None);
    let named = one(&[(TWO, NOON), (THREE, late)]).suspects(NOON);
    assert_eq!(named, [(THREE, ahead(HOUR))]);
    assert_eq!(ahead(HOUR).to_string(), "3600.0 s ahead");
    assert_eq!(
        (ahead(HOUR).micros(), behind(HOUR).micros()),
        (3_600_000_000, -3_600_000_000)
    );
}

#[test]
fn what_was_told_long_ago_does_not_count() {
    let one = one(&[(TWO, NOON.before(HOUR)), (THREE, NOON.before(HOUR))]);
    assert!(one.suspect(NOON.after(Duration::from_secs(29))).is_some());
    assert_eq!(one.suspect(NOON.after(Duration::from_secs(31))), None);
    // Whose clock went back since cannot tell how long ago it was.
    assert_eq!(one.suspect(NOON.before(Duration::from_secs(1))), None);
}

#[test]
fn one_that_is_suspect_declines_and_one_that_is_not_does_not() {
    let mut one = one(&[(TWO, NOON.before(HOUR)), (THREE, NOON.before(HOUR))]);
    let skew = ahead(HOUR);
    let suspect = Refusal::Suspect { skew };
    assert_eq!(one.update(dated(1, NOON), NOON), Err(suspect.clone()));
    assert_eq!(one.query(&ts([]), NOON).err(), Some(suspect));
    // Set right, it goes on.
    let right = NOON.before(HOUR);
    one.hear_clock(TWO, right, right);
    one.update(dated(1, right), right).expect("accepted");
}

/// A jump of more than a day is not believed until somebody says the same.
#[test]
fn a_clock_that_jumps_by_days_is_suspect_by_itself() {
    let mut one = one(&[(TWO, NOON), (THREE, NOON)]);
    let then = NOON.after(DAYS);
    assert_eq!(one.suspect(then), Some(ahead(DAYS)));
    one.advance(then);
    assert_eq!(one.suspect(then), Some(ahead(DAYS)));
    assert_eq!(one.suspect(NOON.after(HOUR)), None);
    // It had only been asleep.
    one.hear_clock(TWO, then, then);
    assert_eq!(one.suspect(then), None);
    // Who is alone has nobody to ask.
    let mut alone = replica(ONE);
    alone.advance(NOON);
    assert_eq!(alone.suspect(then), None);
}

#[test]
fn who_joins_goes_by_one_that_has() {
    for (theirs, suspect, joins) in [
        (NOON, None, true),
        (NOON.before(HOUR), Some(ahead(HOUR)), false),
        (NOON.after(HOUR), Some(behind(HOUR)), false),
        // Whoever is wrong, that one is not to be followed.
        (NOON.after(DAYS), None, true),
    ] {
        let mut two = newcomer(TWO);
        two.meet([ONE]);
        two.hear_clock(ONE, theirs, NOON);
        let joined = knowing(offer(ONE, [], vec![]), [TWO]);
        two.receive(joined, NOON).expect("a report");
        assert_eq!((two.suspect(NOON), two.has_joined()), (suspect, joins));
    }
    // And one that has joined does not go by one that joins.
    let mut one = replica(ONE);
    one.meet([TWO]);
    one.hear_clock(TWO, NOON.before(HOUR), NOON);
    assert_eq!(one.suspect(NOON), None);
}

#[test]
fn the_horizon_stands_while_the_clock_may_be_wrong() {
    let right = [(TWO, NOON), (THREE, NOON)];
    let mut one = one(&right);
    one.advance(NOON);
    let horizon = one.horizon();
    assert!(horizon > Time(0) && horizon <= NOON.before(Limits::default().late));
    // It jumps, and nobody was heard since.
    one.advance(NOON.after(HOUR));
    assert_eq!(one.horizon(), horizon);
    // Others say that it is wrong.
    one.hear_clock(TWO, NOON, NOON.after(HOUR));
    one.advance(NOON.after(HOUR));
    assert_eq!(one.horizon(), horizon);
    let mut joins = newcomer(TWO);
    joins.advance(NOON);
    assert_eq!(joins.horizon(), Time(0));
}

/// Nobody else can have settled so much, so it is given up.
#[test]
fn a_horizon_of_days_ahead_comes_back_with_the_clock() {
    let mut alone = replica(ONE);
    alone.advance(NOON.after(DAYS));
    assert!(alone.settled() > NOON.after(2 * DAYS / 3));
    alone.advance(NOON);
    let most = NOON.after(DAYS / 3);
    assert_eq!((alone.horizon(), alone.settled()), (most, most));
    let clock = alone
        .query(&ts([]), NOON)
        .expect("answered")
        .expect("it covers")
        .clock;
    let next = dated(1, Time(clock.0 + 1));
    alone
        .update(next, NOON)
        .expect("it dates by the reply's clock");
}

/// A date that was taken by a clock that was ahead is seen by sessions and has to be exceeded
/// by them; the others date on by time.
#[test]
fn what_is_dated_ahead_is_exceeded_by_little() {
    let far = NOON.after(HOUR);
    let mut one = one(&[(TWO, NOON), (THREE, NOON)]);
    let record = Record::new(TWO, 1, dated(1, far)).expect("a record that can be");
    let received = one
        .receive(offer(TWO, [(TWO, 1)], vec![record]), NOON)
        .expect("records");
    assert_eq!(
        (received.ahead, received.held),
        (Some((TWO, ahead(HOUR))), vec![])
    );
    let mut taken =
        |sequence, time, seen| one.update_after(dated(sequence, time), seen, NOON).is_ok();
    assert!(taken(2, NOON, Time(0)));
    assert!(taken(3, Time(far.0 + 1), Time(0)));
    assert!(taken(4, Time(far.0 + 17), Time(0)));
    assert!(!taken(5, Time(far.0 + 17 + 17), Time(0)));
    // It has seen what has not come here, as its token says.
    assert!(taken(5, Time(far.0 + 17 + 17), Time(far.0 + 18)));
    let day = NOON.after(DAYS / 3);
    assert!(!taken(6, Time(day.0 + 17), NOON.after(DAYS)));
    assert!(taken(6, Time(day.0 + 16), NOON.after(DAYS)));
}

#[test]
fn what_is_dated_days_ahead_is_refused_or_held() {
    let far = NOON.after(DAYS);
    let first = |origin| Record::new(origin, 1, dated(1, far)).expect("a record that can be");
    let mut one = one(&[(TWO, NOON), (THREE, NOON)]);
    let before = one.clone();
    // Its own: nothing is taken of it.
    let own = offer(TWO, [(TWO, 1)], vec![first(TWO)]);
    let what = "an update";
    let refused = Unbelievable::Ahead {
        what,
        skew: ahead(DAYS),
    };
    assert_eq!(one.receive(own.clone(), NOON), Err(refused.into()));
    assert!(one == before);
    // Another's, which it passes on: that is held, and what follows it, and the rest goes on.
    let second = record((THREE, 2), 2, []);
    let records = vec![first(THREE), second, record((TWO, 1), 3, [])];
    let received = one
        .receive(offer(TWO, [(TWO, 1), (THREE, 2)], records.clone()), NOON)
        .expect("the rest");
    assert_eq!((received.held, received.ignored), (vec![THREE], 1));
    assert_eq!(
        (one.value(), one.replica_ts()),
        (&Trace(vec![3]), &ts([(TWO, 1)]))
    );
    // When its time has come both are taken.
    let received = one
        .receive(offer(TWO, [(TWO, 1), (THREE, 2)], records), far)
        .expect("all");
    assert_eq!(
        (received.held, one.value()),
        (vec![], &Trace(vec![3, 1, 2]))
    );
}

/// Whoever is behind does not take all others to be ahead.
#[test]
fn one_that_is_behind_judges_by_the_others() {
    let late = NOON.after(DAYS);
    let mut one = one(&[(TWO, late), (THREE, late)]);
    let record = Record::new(TWO, 1, dated(1, late)).expect("a record that can be");
    one.receive(offer(TWO, [(TWO, 1)], vec![record]), NOON)
        .expect("records");
    assert_eq!(one.suspect(NOON), Some(behind(DAYS)));
}

/// What is on the disk is believed: it was acknowledged.
#[test]
fn what_was_stored_is_taken_however_it_is_dated() {
    let own = ReplicaId::new(1, 2);
    let mut back = newcomer(own);
    let record = Record::new(ONE, 1, dated(1, NOON.after(DAYS))).expect("a record that can be");
    let stored = back
        .receive(offer(own, [], vec![record]), NOON)
        .expect("its own disk");
    assert_eq!((back.value(), stored.ahead), (&Trace(vec![1]), None));
}

/// Otherwise one wrong clock could have everything settled.
#[test]
fn a_horizon_counts_for_no_more_than_this_clock_shows() {
    let mut joins = newcomer(TWO);
    joins.meet([ONE]);
    let said = Offer {
        horizon: NOON.after(HOUR),
        ..offered(offer(ONE, [], vec![]))
    };
    joins.receive(Message::Offer(said), NOON).expect("a report");
    assert_eq!(joins.horizon(), NOON.after(Limits::default().max_skew));
}
