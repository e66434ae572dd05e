//! [+] Replicas of several versions: an update of a newer kind is taken once all who remain
//! understand it.

use backfence_gossip::Unbelievable;

use super::*;

/// An update that needs version 2.
fn newer(sequence: u64) -> Update<u64> {
    Update {
        operation: 1_000_000 + sequence,
        ..update(sequence, [])
    }
}

/// One that understands `version`, and has heard of TWO and THREE.
fn speaker(id: ReplicaId, version: u32) -> Replica<Trace> {
    let limits = Limits {
        version,
        ..Limits::default()
    };
    let mut replica = founded(id, limits);
    replica.meet([ONE, TWO, THREE]);
    replica
}

fn refusal(needs: u32, servers: &[u32]) -> Refusal {
    let servers = servers.to_vec();
    Refusal::TooNew { needs, servers }
}

#[test]
fn a_newer_kind_waits_until_all_who_remain_understand_it() {
    let mut one = speaker(ONE, 2);
    let mut check = |heard: &[(ReplicaId, u32)], speaks, servers: &[u32]| {
        for &(peer, version) in heard {
            one.understands(peer, version);
        }
        assert_eq!(one.speaks(), speaks, "{heard:?}");
        match one.clone().update(newer(1), NOW) {
            Ok(_) => assert!(servers.is_empty(), "{heard:?}"),
            Err(refused) => assert_eq!(refused, refusal(2, servers), "{heard:?}"),
        }
        // The older kinds are taken throughout.
        assert!(one.clone().update(update(2, []), NOW).is_ok());
    };
    check(&[], 1, &[2, 3]);
    check(&[(TWO, 2)], 1, &[3]);
    check(&[(THREE, 3)], 2, &[]);
    // One goes back, in the same life or in another.
    check(&[(TWO, 1)], 1, &[2]);
    check(&[(TWO, 2)], 2, &[]);
}

#[test]
fn what_is_not_understood_here_is_not_taken_either() {
    let mut one = speaker(ONE, 1);
    one.understands(TWO, 2);
    one.understands(THREE, 2);
    assert_eq!(one.update(newer(1), NOW), Err(refusal(2, &[1])));
}

#[test]
fn a_new_life_has_to_say_it_anew_and_a_retired_server_has_no_say() {
    let mut one = speaker(ONE, 2);
    one.understands(TWO, 2);
    one.understands(THREE, 2);
    assert_eq!(one.speaks(), 2);
    let again = ReplicaId::new(3, 2);
    one.meet([again]);
    assert_eq!(one.speaks(), 1, "its program may be an older one");
    // What the life before says late does not count.
    one.understands(THREE, 2);
    assert_eq!(one.speaks(), 1);
    one.understands(again, 2);
    assert_eq!(one.speaks(), 2);
    // A server that is away for ever holds nothing up once it is retired.
    let four = ReplicaId::new(4, 1);
    one.meet([four]);
    assert_eq!(one.speaks(), 1);
    one.retire(4);
    assert_eq!(one.speaks(), 2);
    // Who is not known has no say, and takes no room.
    one.understands(ReplicaId::new(9, 9), 1);
    assert_eq!(one.speaks(), 2);
}

#[test]
fn who_has_taken_a_newer_record_needs_its_version_for_ever() {
    let mut one = speaker(ONE, 2);
    one.understands(TWO, 2);
    one.understands(THREE, 2);
    assert_eq!(one.needs(), 1);
    one.update(newer(1), NOW).expect("all understand it");
    assert_eq!(one.needs(), 2);
    // By a record, by a state, and by a disk.
    let mut two = speaker(TWO, 2);
    let record = Record::new(ONE, 1, newer(1)).expect("a record that can be");
    two.receive(offer(ONE, [(ONE, 1)], vec![record]), NOW)
        .expect("a record");
    assert_eq!(two.needs(), 2);
    let state = Message::State(Box::new(one.state()));
    let too_new = Unbelievable::TooNew { needs: 2 };
    assert_eq!(
        newcomer(THREE).receive(state.clone(), NOW),
        Err(too_new.into())
    );
    let mut three = speaker(THREE, 2);
    three.receive(state, NOW).expect("a state");
    assert_eq!(three.needs(), 2);
    let mut again = newcomer(ReplicaId::new(1, 2));
    let from = again.id();
    let disk = State {
        from,
        ..one.cut(one.value().clone())
    };
    assert_eq!(disk.needs, 2);
    let disk = State {
        log: one.state().log,
        ..disk
    };
    again
        .receive(Message::State(Box::new(disk)), NOW)
        .expect("what it had stored");
    assert_eq!(again.needs(), 2);
}
