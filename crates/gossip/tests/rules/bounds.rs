//! What a replica allows itself, to the byte.

use backfence_gossip::{Limits, Message, Refusal, Replica, Scope};

use crate::{NOW, ONE, THREE, TWO, Trace, founded, knowing, offer, offered, record, ts, update};

/// What a record of the tests takes without an entry in its prev.
const RECORD: usize = 104;
/// What each entry of prev adds.
const ENTRY: usize = 32;

fn limited(limits: Limits) -> Replica<Trace> {
    let mut one = founded(ONE, limits);
    one.receive(offer(TWO, [], vec![]), NOW).expect("a report");
    one
}

/// [+] A message holds what its limit allows, and at least one record; it says whether
/// there is more.
#[test]
fn a_message_is_as_full_as_its_limit_allows() {
    for (message_bytes, expected) in [
        (RECORD - 1, vec![(1, true), (1, true), (1, false)]),
        (2 * RECORD - 1, vec![(1, true), (1, true), (1, false)]),
        (2 * RECORD, vec![(2, true), (1, false)]),
        (3 * RECORD, vec![(3, false)]),
    ] {
        let mut one = limited(Limits {
            message_bytes,
            ..Limits::default()
        });
        for sequence in 1..=3 {
            one.update(update(sequence, []), NOW).expect("accepted");
        }
        let mut has = 0;
        let mut came = Vec::new();
        while one.has_news_for(TWO, Scope::All) && came.len() < 9 {
            let sent = offered(one.message(TWO, Scope::All));
            came.push((sent.records.len(), sent.more));
            has += sent.records.len() as u64;
            one.receive(offer(TWO, [(ONE, has)], vec![]), NOW)
                .expect("a report");
        }
        assert_eq!(came, expected, "{message_bytes} bytes");
    }
}

/// [+] The log holds what its budget allows, and not a byte more, of what is applied.
#[test]
fn a_log_is_as_long_as_its_budget_allows() {
    for (log_bytes, kept) in [
        (2 * RECORD - 1, 1),
        (2 * RECORD, 2),
        (3 * RECORD - 1, 2),
        (RECORD - 1, 0),
    ] {
        let mut one = limited(Limits {
            log_bytes,
            ..Limits::default()
        });
        for sequence in 1..=9 {
            one.update(update(sequence, []), NOW).expect("accepted");
        }
        assert_eq!(one.log_len(), kept, "{log_bytes} bytes");
        assert_eq!(one.log().count(), kept);
        assert_eq!(one.state().floor, ts([(ONE, 9 - kept as u64)]));
    }
}

/// [+] What goes first is of the origin with the most records.
#[test]
fn the_longest_run_is_cut_first() {
    let mut one = limited(Limits {
        log_bytes: 3 * RECORD,
        ..Limits::default()
    });
    one.receive(knowing(offer(THREE, [], vec![]), [TWO]), NOW)
        .expect("a report");
    one.update(update(9, []), NOW).expect("accepted");
    let records = (1..=2).map(|number| record((TWO, number), number, []));
    one.receive(offer(TWO, [], records.collect()), NOW)
        .expect("records");
    assert_eq!(one.state().floor, ts([]));
    one.receive(offer(THREE, [], vec![record((THREE, 1), 3, [])]), NOW)
        .expect("records");
    assert_eq!(one.state().floor, ts([(TWO, 1)]));
}

/// [+] An update that would wait is refused when the log is over its budget; at its
/// budget it is not.
#[test]
fn a_log_at_its_budget_is_not_full() {
    for (log_bytes, taken) in [(2 * (RECORD + ENTRY) - 1, 2), (2 * (RECORD + ENTRY), 3)] {
        let mut one = limited(Limits {
            log_bytes,
            ..Limits::default()
        });
        for sequence in 1..=taken {
            one.update(update(sequence, [(TWO, 1)]), NOW)
                .expect("accepted");
        }
        let waiting = usize::try_from(taken).expect("few");
        let refusal = Refusal::LogFull { waiting };
        assert_eq!(one.update(update(9, [(TWO, 1)]), NOW), Err(refusal));
        assert_eq!((one.log_len(), one.waiting_len()), (waiting, waiting));
    }
}

/// [+] A state is sent where a record is gone that the peer lacks, not before.
#[test]
fn a_state_is_sent_only_where_a_record_is_gone() {
    let mut one = limited(Limits {
        log_bytes: RECORD,
        ..Limits::default()
    });
    for sequence in 1..=3 {
        one.update(update(sequence, []), NOW).expect("accepted");
    }
    for (has, whole) in [(0, true), (1, true), (2, false), (3, false)] {
        one.receive(offer(TWO, [(ONE, has)], vec![]), NOW)
            .expect("a report");
        let sent = one.message(TWO, Scope::All);
        assert_eq!(matches!(sent, Message::State(_)), whole, "{has} of 3");
    }
}
