//! Whose updates and tokens are whose: no client acts in another's session, or learns its id.

mod support;

use backfence_gossip::{Session, SessionId, Time, Timestamp, UpdateId};
use backfence_process::{ClusterKey, Environment, SessionDigests, authorization};
use backfence_wire::v1::{self, front_end_server::FrontEnd as _, operator_server::Operator};
use tonic::Request;

use support::{Act, House, SESSION, answers, info, made, rate, token, ts, view, within};

#[tokio::test]
async fn a_front_end_makes_the_id_of_a_session() {
    let house = House::new(&[(1, answers())]).await;
    let mut ids = Vec::new();
    for id in [vec![], vec![9; 16], vec![9; 16], vec![9; 3]] {
        #[expect(deprecated, reason = "it is ignored")]
        let open = v1::OpenSessionRequest {
            id: id.clone(),
            ..Default::default()
        };
        let opened = house.front_end.open_session(within(open)).await.unwrap();
        let session = opened.into_inner().session.unwrap();
        assert_ne!(session.id, id);
        assert!(!ids.contains(&session.id), "{ids:?}");
        ids.push(session.id);
    }
}

/// It need not be covered: nothing is shown. And what it is told is no later than what it
/// has sent, so that an update can be sent again that was prepared before.
#[tokio::test]
async fn a_session_goes_on_by_its_token() {
    let house = House::new(&[(1, Act::Answers(ts([(1, 9)]), 50))]).await;
    let open = v1::OpenSessionRequest {
        session: token(ts([(2, 4)])),
        ..Default::default()
    };
    let opened = house.front_end.open_session(within(open)).await.unwrap();
    let carried = opened.into_inner().session.unwrap();
    assert_eq!(carried.token, token(ts([(2, 4)])));
    // The time goes on meanwhile.
    assert!(carried.clock_us >= 50, "{}", carried.clock_us);
    assert_eq!(carried.id, SESSION.0.to_be_bytes());
    assert_eq!(
        house.queries()[0].prev,
        Some((&Timestamp::new()).into()),
        "nothing is waited for"
    );
}

#[tokio::test]
async fn an_update_is_of_the_session_of_its_token() {
    let house = House::new(&[(1, answers())]).await;
    let others = backfence_wire::token(&Session {
        clock: Time(7),
        ..Session::new(SessionId(4))
    });
    for session in [Vec::new(), others] {
        let rate = v1::RateRequest {
            session: session.clone(),
            ..rate(b"").into_inner()
        };
        let delete = v1::DeleteRequest {
            session,
            user_id: 1,
            movie_id: 1,
            update_id: made(1),
            time_us: 1_000,
            ..Default::default()
        };
        let rated = house.front_end.rate(within(rate)).await;
        let deleted = house.front_end.delete(within(delete)).await;
        for refused in [info(rated), info(deleted)] {
            assert_eq!(refused.reason, "INVALID");
        }
    }
    assert_eq!(house.asked(), [] as [u32; 0], "no replica hears of it");
    house.front_end.rate(rate(b"")).await.unwrap();
    assert_eq!(house.updates()[0].id, made(1));
}

/// With the token of an operator, where there is a key.
fn by_operator<T>(key: &Option<ClusterKey>, message: T) -> Request<T> {
    let mut request = within(message);
    if let Some(key) = key {
        let token = authorization(key, Environment::seeded(7).now());
        request.metadata_mut().insert("authorization", token);
    }
    request
}

/// The digest is the same at all front ends with the same key, or with none, and the reply
/// tells a session its own.
#[tokio::test]
async fn nobody_is_told_the_id_of_a_session_but_itself() {
    let key = |byte| ClusterKey::new(&[byte; 32]);
    for key in [None, key(7), key(8)] {
        let digests = SessionDigests::new(key.as_ref());
        let shown = Some(digests.update(UpdateId::new(SESSION, 1)).into());
        for _front_end in 1..=2 {
            let house = House::with_key(&[(1, answers())], key.clone()).await;
            let front_end = &*house.front_end;
            let viewed = front_end.view(view(b"")).await.unwrap().into_inner();
            assert_eq!(viewed.rating.unwrap().update_id, shown);
            let own = viewed.session.unwrap();
            let id = backfence_wire::session(&own.token).unwrap().id;
            assert_eq!(own.digest, digests.session(id).0.to_be_bytes());

            let (server, limit) = (1, 5);
            let log = Operator::log(
                front_end,
                by_operator(&key, v1::LogRequest { server, limit }),
            );
            let log = log.await.unwrap().into_inner().log.unwrap();
            assert_eq!(log.records[0].update_id, shown);
            let at_risk =
                Operator::at_risk(front_end, by_operator(&key, v1::AtRiskRequest { limit }));
            let at_risk = at_risk.await.unwrap().into_inner().servers.remove(0);
            assert_eq!(at_risk.updates.unwrap().records[0].update_id, shown);
        }
    }
}

/// Its session has seen what is dated as late, and would never see it. Where it is a retry,
/// one of the servers knows it, which need not be the first.
#[tokio::test]
async fn an_update_that_its_session_would_never_see_is_answered_if_it_is_known() {
    use Act::{Breaks, Declines, Refuses};
    let unknown = || Refuses("INVALID");
    for (time_us, acts, asked, expected) in [
        (8, vec![answers()], vec![(1, false)], ""),
        (8, vec![unknown(), answers()], vec![(1, false)], "INVALID"),
        (7, vec![answers(), answers()], vec![(1, true)], ""),
        (1, vec![answers()], vec![(1, true)], ""),
        (
            7,
            vec![unknown(), answers()],
            vec![(1, true), (2, true)],
            "",
        ),
        (7, vec![unknown(); 2], vec![(1, true), (2, true)], "INVALID"),
        (
            7,
            vec![unknown(), Declines],
            vec![(1, true), (2, true)],
            "INVALID",
        ),
        (
            7,
            vec![Breaks, unknown()],
            vec![(1, true), (2, true)],
            "OUTCOME_UNKNOWN",
        ),
    ] {
        let servers: Vec<_> = (1..).zip(acts).collect();
        let house = House::new(&servers).await;
        let mut request = rate(b"");
        request.get_mut().time_us = time_us;
        let rated = house.front_end.rate(request).await;
        let reason = match rated {
            Ok(_) => String::new(),
            failed => info(failed).reason,
        };
        assert_eq!(reason, expected, "{time_us} {servers:?}");
        let received = house.received.borrow().clone();
        let known_only = received
            .iter()
            .map(|(server, sent)| (*server, sent.known_only));
        assert_eq!(
            known_only.collect::<Vec<_>>(),
            asked,
            "{time_us} {servers:?}"
        );
    }
}
