use super::*;

const A: ReplicaId = ReplicaId::new(1, 10);
const B: ReplicaId = ReplicaId::new(2, 20);

fn address(port: u16) -> Address {
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// Its first byte; `None` has no key.
fn key(byte: Option<u8>) -> NodeKey {
    let key = byte.map(|byte| ClusterKey::new(&[byte; 32]).unwrap());
    NodeKey::new(key.as_ref())
}

/// One side of a stream.
struct End {
    key: NodeKey,
    rpc: Rpc,
    id: Option<ReplicaId>,
    address: Address,
    nonce: Nonce,
}

fn end(byte: Option<u8>, id: Option<ReplicaId>, nonce: u8) -> End {
    End {
        key: key(byte),
        rpc: Rpc::Gossip,
        id,
        address: address(7),
        nonce: [nonce; 32],
    }
}

impl End {
    fn call(&self) -> Caller {
        self.key.call(self.rpc, self.id, &self.address, self.nonce)
    }

    fn answer(
        &self,
        caller: Option<ReplicaId>,
        nonce: &[u8],
    ) -> Result<(v1::Hello, Option<Owed>), Unproved> {
        let id = self.id.unwrap();
        let own = Callee {
            rpc: self.rpc,
            id,
            address: &self.address,
        };
        let answer = self.key.answer(&own, caller, nonce, self.nonce)?;
        let mut hello = v1::Hello {
            id: Some(id.into()),
            ..v1::Hello::default()
        };
        Ok(match answer {
            Some(Answer { nonce, proof, owed }) => {
                hello.nonce = nonce.to_vec();
                hello.proof = Some(proof);
                (hello, Some(owed))
            }
            None => (hello, None),
        })
    }
}

/// What each side makes of the other.
type Outcome = Result<(), Unproved>;

fn meet(calling: &End, called: &End) -> (Outcome, Outcome) {
    let caller = calling.call();
    let (hello, owed) = match called.answer(calling.id, &caller.nonce()) {
        Ok(answered) => answered,
        Err(why) => return (Ok(()), Err(why)),
    };
    match (caller.hear(&hello), owed) {
        (Ok(proof), Some(owed)) => (Ok(()), owed.hear(proof.as_ref())),
        (Ok(_), None) => (Ok(()), Ok(())),
        (Err(why), _) => (Err(why), Ok(())),
    }
}

#[test]
fn those_with_one_key_prove_themselves_and_others_do_not() {
    use Unproved::{Keyless, Wrong};
    let check = |one, other, expected: (Outcome, Outcome)| {
        assert_eq!(
            meet(&end(one, Some(A), 1), &end(other, Some(B), 2)),
            expected
        );
        let mut front_end = end(one, None, 1);
        let mut replica = end(other, Some(B), 2);
        (front_end.rpc, replica.rpc) = (Rpc::Serve, Rpc::Serve);
        assert_eq!(meet(&front_end, &replica), expected);
    };
    let (one, other) = (Some(1), Some(2));
    check(None, None, (Ok(()), Ok(())));
    check(one, one, (Ok(()), Ok(())));
    check(None, one, (Ok(()), Err(Keyless)));
    check(one, None, (Err(Keyless), Ok(())));
    check(one, other, (Err(Wrong), Ok(())));
}

#[test]
fn keyless_programs_are_taken_where_that_is_said() {
    let accepting = |id, nonce| End {
        key: key(Some(1)).accepting_keyless(true),
        ..end(None, Some(id), nonce)
    };
    let both = (Ok(()), Ok(()));
    assert_eq!(meet(&accepting(A, 1), &end(None, Some(B), 2)), both);
    assert_eq!(meet(&end(None, Some(A), 1), &accepting(B, 2)), both);
    assert_eq!(meet(&accepting(A, 1), &end(Some(1), Some(B), 2)), both);
    // Another key is no missing one.
    let wrong = (Err(Unproved::Wrong), Ok(()));
    assert_eq!(meet(&accepting(A, 1), &end(Some(2), Some(B), 2)), wrong);
}

/// The sides differ in one thing that both have to agree about.
#[test]
fn a_proof_is_for_one_stream_only() {
    let check = |what, change: &dyn Fn(&mut End)| {
        let (calling, mut called) = (end(Some(1), Some(A), 1), end(Some(1), Some(B), 2));
        change(&mut called);
        let wrong = (Err(Unproved::Wrong), Ok(()));
        assert_eq!(meet(&calling, &called), wrong, "{what}");
    };
    check("another call", &|called| called.rpc = Rpc::Serve);
    // Somebody between them passes on what both say.
    check("another address", &|called| called.address = address(8));

    let (calling, called) = (end(Some(1), Some(A), 1), end(Some(1), Some(B), 2));
    let caller = calling.call();
    let (hello, owed) = called.answer(calling.id, &caller.nonce()).unwrap();
    let proof = caller.hear(&hello).unwrap();
    owed.unwrap().hear(proof.as_ref()).unwrap();

    // What was heard on that stream is of no use on the next, in either role.
    let again = End {
        nonce: [3; 32],
        ..end(Some(1), Some(B), 3)
    };
    let (_, owed) = again.answer(calling.id, &caller.nonce()).unwrap();
    let owed = owed.unwrap();
    for heard in [proof.as_ref(), hello.proof.as_ref()] {
        assert_eq!(owed.hear(heard), Err(Unproved::Wrong));
    }
    assert_eq!(owed.hear(None), Err(Unproved::Silent));
    let next = End {
        nonce: [4; 32],
        ..end(Some(1), Some(A), 4)
    };
    assert_eq!(next.call().hear(&hello), Err(Unproved::Wrong));
    let other_id = v1::Hello {
        id: Some(A.into()),
        ..hello
    };
    assert_eq!(caller.hear(&other_id), Err(Unproved::Wrong));
}

/// Who has no key sends each of them back what it has said.
#[test]
fn what_one_has_said_proves_nothing_to_it() {
    let called = end(Some(1), Some(B), 2);
    let caller = end(Some(1), Some(B), 2).call();
    let (hello, owed) = called.answer(Some(B), &caller.nonce()).unwrap();
    assert_eq!(
        owed.unwrap().hear(hello.proof.as_ref()),
        Err(Unproved::Wrong)
    );
    for length in [1, 31, 33] {
        let refused = called.answer(Some(A), &vec![1; length]).map(drop);
        assert_eq!(refused, Err(Unproved::Wrong));
    }
}

#[test]
fn a_description_is_proved_as_it_is() {
    let nonce = [5; 32];
    let description = v1::DescribeResponse {
        state: Some(v1::ReplicaState {
            id: Some(A.into()),
            ..v1::ReplicaState::default()
        }),
        fingerprint: "data".into(),
        members: vec![A.into(), B.into()],
        cluster: vec![7; 16],
        ..v1::DescribeResponse::default()
    };
    let asked = key(Some(1));
    let signed = |key: &NodeKey| {
        let proof = key.prove(&address(7), &nonce, &description);
        v1::DescribeResponse {
            proof,
            ..description.clone()
        }
    };
    let check = |said: &v1::DescribeResponse, expected| {
        assert_eq!(asked.check(&address(7), &nonce, said), expected, "{said:?}");
    };
    let good = signed(&asked);
    check(&good, Ok(()));
    check(&signed(&key(None)), Err(Unproved::Keyless));
    let wrong = Err(Unproved::Wrong);
    check(&signed(&key(Some(2))), wrong);
    let end_of_one = ReplicaId::end(1).into();
    for altered in [
        v1::DescribeResponse {
            members: vec![A.into(), B.into(), end_of_one],
            ..good.clone()
        },
        v1::DescribeResponse {
            fingerprint: "date".into(),
            ..good.clone()
        },
        v1::DescribeResponse {
            standing: 4,
            ..good.clone()
        },
    ] {
        check(&altered, wrong);
    }
    assert_eq!(asked.check(&address(7), &[6; 32], &good), wrong);
    assert_eq!(asked.check(&address(8), &nonce, &good), wrong);
    let accepting = asked.accepting_keyless(true);
    let keyless = signed(&key(None));
    assert_eq!(accepting.check(&address(7), &nonce, &keyless), Ok(()));
}
