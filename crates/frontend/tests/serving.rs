//! What a front end does with requests, by what its replicas do.

mod support;

use std::{sync::Arc, time::Duration};

use backfence_frontend::FrontEnd;
use backfence_gossip::{Time, Timestamp, UpdateId};
use backfence_process::{ClusterKey, Environment, SessionDigests};
use backfence_wire::v1::{
    self, ServeRequest, ServerStatus, front_end_client::FrontEndClient,
    front_end_server::FrontEnd as _, operator_server::Operator, serve_request::Body,
};
use tokio::task::JoinSet;
use tonic::Request;

use support::{Act, House, LONG, SESSION, answers, info, rate, token, ts, view, within};

/// The reason with which a request ends, or "" where it is served.
async fn outcome(front_end: &FrontEnd, update: bool) -> String {
    let result = if update {
        front_end.rate(rate(b"")).await.map(|_| ())
    } else {
        front_end.view(view(b"")).await.map(|_| ())
    };
    match result {
        Ok(()) => String::new(),
        failed => info(failed).reason,
    }
}

#[tokio::test]
async fn each_request_makes_one_pass() {
    use Act::{Absent, Babbles, Breaks, Declines, Lacks, Refuses};
    let lacks = || Lacks(ts([(2, 7)]));
    for (update, acts, asked, expected) in [
        (false, vec![answers(), answers()], vec![1], ""),
        (false, vec![Declines, answers()], vec![1, 2], ""),
        (false, vec![lacks(), answers()], vec![1, 2], ""),
        (false, vec![Breaks, answers()], vec![1, 2], ""),
        (false, vec![Babbles, answers()], vec![1, 2], ""),
        (false, vec![Absent, answers()], vec![2], ""),
        (false, vec![], vec![], "ALL_BUSY"),
        (false, vec![Absent], vec![], "ALL_BUSY"),
        (false, vec![Declines; 3], vec![1, 2, 3], "ALL_BUSY"),
        (false, vec![Breaks, Declines], vec![1, 2], "ALL_BUSY"),
        (false, vec![lacks(), Declines], vec![1, 2], "BEHIND"),
        (false, vec![Breaks, lacks()], vec![1, 2], "BEHIND"),
        (
            false,
            vec![Refuses("UNKNOWN_MOVIE"), answers()],
            vec![1],
            "UNKNOWN_MOVIE",
        ),
        (
            false,
            vec![Refuses("FORGED_TIMESTAMP"), answers()],
            vec![1],
            "FORGED_TIMESTAMP",
        ),
    ] {
        pass(update, acts, asked, expected).await;
    }
}

#[tokio::test]
async fn an_update_that_may_have_been_taken_is_never_called_refused() {
    use Act::{Absent, Babbles, Breaks, Declines, Refuses, Shuts};
    let unknown = "OUTCOME_UNKNOWN";
    for (acts, asked, expected) in [
        (vec![Declines, Breaks, answers()], vec![1, 2, 3], ""),
        (vec![Absent, Declines], vec![2], "ALL_BUSY"),
        (vec![Shuts, Declines], vec![2], "ALL_BUSY"),
        (vec![Breaks], vec![1], unknown),
        (vec![Breaks, Declines], vec![1, 2], unknown),
        (vec![Declines, Breaks], vec![1, 2], unknown),
        (vec![Babbles, Declines], vec![1, 2], unknown),
        (
            vec![Breaks, Refuses("LOG_FULL"), answers()],
            vec![1, 2],
            unknown,
        ),
        // What is too late for one, another may know still.
        (
            vec![Breaks, Refuses("TOO_LATE"), answers()],
            vec![1, 2, 3],
            "",
        ),
        (vec![Breaks, Refuses("TOO_LATE")], vec![1, 2], unknown),
        (vec![Refuses("TOO_LATE"), Breaks], vec![1, 2], unknown),
        (vec![Refuses("TOO_LATE"), Declines], vec![1, 2], "TOO_LATE"),
        (vec![Absent, Refuses("TOO_LATE")], vec![2], "TOO_LATE"),
        (
            vec![Breaks, Refuses("UNKNOWN_MOVIE"), answers()],
            vec![1, 2],
            "UNKNOWN_MOVIE",
        ),
        (vec![Refuses("LOG_FULL"), answers()], vec![1], "LOG_FULL"),
    ] {
        pass(true, acts, asked, expected).await;
    }
}

async fn pass(update: bool, acts: Vec<Act>, asked: Vec<u32>, expected: &str) {
    let case = format!("update: {update}, {acts:?}");
    let servers: Vec<_> = (1..).zip(acts).collect();
    let house = House::new(&servers).await;
    assert_eq!(outcome(&house.front_end, update).await, expected, "{case}");
    assert_eq!(house.asked(), asked, "{case}");
}

#[tokio::test]
async fn servers_are_in_order_of_their_numbers() {
    let acts = [10, 2, 1].map(|number| (number, Act::Declines));
    let house = House::new(&acts).await;
    let message = "All servers are currently busy, please try again later";
    let status = house.front_end.view(view(b"")).await.unwrap_err();
    assert_eq!(status.message(), message);
    assert_eq!(house.asked(), [1, 2, 10]);
}

#[tokio::test]
async fn the_record_that_is_missing_is_named() {
    let acts = [
        (1, Act::Lacks(ts([(2, 15), (3, 1)]))),
        (2, Act::Lacks(ts([(2, 17)]))),
    ];
    let house = House::new(&acts).await;
    let token = token(ts([(2, 17), (3, 1)]));
    let info = info(house.front_end.view(view(&token)).await);
    let metadata = [("server", "2"), ("incarnation", "1"), ("number", "17")];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    assert_eq!(info.reason, "BEHIND");
    assert_eq!(info.metadata, metadata.map(owned).into());
}

#[tokio::test]
async fn a_retry_elsewhere_is_the_same_update() {
    let house = House::new(&[(1, Act::Breaks), (2, answers())]).await;
    let request = v1::RateRequest {
        session: token(ts([(1, 4)])),
        ..rate(b"").into_inner()
    };
    let response = house.front_end.rate(within(request.clone())).await;
    let response = response.unwrap().into_inner();
    assert_eq!(
        (&response.update_id, response.server),
        (&request.update_id, 2)
    );

    let updates = house.updates();
    assert_eq!(updates.len(), 2);
    assert_eq!(updates[0], updates[1]);
    assert_eq!(updates[0].id, request.update_id);
    assert_eq!(updates[0].time_us, request.time_us);
    assert_eq!(updates[0].prev, Some((&ts([(1, 4)])).into()));
}

#[tokio::test]
async fn a_client_that_makes_no_ids_gets_some() {
    let house = House::new(&[(1, Act::Answers(ts([]), 5_000_000)), (2, answers())]).await;
    let request = || v1::RateRequest {
        session: token(ts([])),
        update_id: None,
        time_us: 0,
        copies: 0,
        ..rate(b"").into_inner()
    };
    let first = house.front_end.rate(within(request())).await.unwrap();
    // Nobody had told the time, so it was asked for.
    assert_eq!(house.received.borrow().len(), 2);
    house.act(1, Act::Breaks);
    let second = house.front_end.rate(within(request())).await.unwrap();

    let updates = house.updates();
    assert_eq!(updates.len(), 3);
    assert_eq!(updates[1], updates[2]);
    let told = [first, second].map(|reply| reply.into_inner().update_id);
    let digest = |id: &Option<v1::UpdateId>| {
        let id = UpdateId::try_from(id.clone()?).expect("it is one");
        Some(SessionDigests::new(None).update(id).into())
    };
    // Whoever knew the session of the front end could use up its next numbers.
    assert_eq!(told, [&updates[0].id, &updates[1].id].map(digest));
    assert_ne!(updates[0].id, updates[1].id);
    assert!(updates[0].time_us > 5_000_000);
    assert!(updates[1].time_us > updates[0].time_us);
    let clients_own = SESSION.0.to_be_bytes();
    assert!(
        updates
            .iter()
            .all(|update| update.id.as_ref().unwrap().session != clients_own)
    );
}

#[tokio::test]
async fn every_reply_goes_into_the_next_token() {
    let house = House::new(&[(1, Act::Answers(ts([(1, 3)]), 50))]).await;
    let front_end = &house.front_end;
    let opened = front_end.open_session(within(v1::OpenSessionRequest::default()));
    let mut carried = opened.await.unwrap().into_inner().session.unwrap();
    check_session(&carried, ts([(1, 3)]), 50);

    house.act(1, Act::Answers(ts([(2, 4)]), 40));
    let viewed = front_end.view(view(&carried.token)).await.unwrap();
    carried = viewed.into_inner().session.unwrap();
    check_session(&carried, ts([(1, 3), (2, 4)]), 50);

    house.act(1, Act::Answers(ts([(1, 2), (3, 1)]), 60));
    let mut request = rate(&carried.token);
    let session = carried.id;
    request.get_mut().update_id = Some(v1::UpdateId {
        session,
        sequence: 1,
    });
    let rated = front_end.rate(request).await.unwrap();
    carried = rated.into_inner().session.unwrap();
    check_session(&carried, ts([(1, 3), (2, 4), (3, 1)]), 60);

    house.asked();
    let averaged = front_end.average(within(v1::AverageRequest {
        session: carried.token,
        movie_id: 1,
        fingerprint: String::new(),
    }));
    let averaged = averaged.await.unwrap().into_inner();
    assert_eq!((averaged.average, averaged.ratings), (Some(3.5), 2));
    let prev = ts([(1, 3), (2, 4), (3, 1)]);
    assert_eq!(house.queries()[0].prev, Some((&prev).into()));
}

/// A replica without the key could be anybody's: it gets no request, and it is tried no further.
#[tokio::test]
async fn who_does_not_prove_that_it_has_the_key_is_asked_nothing() {
    for (keyless, asked) in [(false, vec![]), (true, vec![1])] {
        let house = House::accepting(&[(1, answers())], ClusterKey::new(&[7; 32]), keyless).await;
        let viewed = house.front_end.view(view(&[])).await;
        match viewed {
            Ok(_) => assert!(keyless),
            Err(status) => {
                assert!(!keyless, "{status}");
                assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
            }
        }
        assert_eq!(house.asked(), asked);
    }
}

#[tokio::test]
async fn no_past_is_believed_that_no_front_end_has_told() {
    let key = || ClusterKey::new(&[7; 32]);
    let house = House::with_key(&[(1, answers())], key()).await;
    let front_end = &house.front_end;
    let invented = token(ts([(1, 1_000)]));
    for refused in [
        info(front_end.view(view(&invented)).await),
        info(front_end.rate(rate(&invented)).await),
    ] {
        assert_eq!(refused.reason, "BAD_TOKEN");
    }
    let status = front_end
        .view(view(&invented))
        .await
        .expect_err("a forgery");
    assert!(
        status.message().contains("backfence session reset"),
        "{status}"
    );
    assert_eq!(house.asked(), [] as [u32; 0], "no replica hears of it");

    let started = front_end.view(view(b"")).await.unwrap().into_inner();
    let sealed = started.session.unwrap().token;
    front_end.view(view(&sealed)).await.unwrap();
    let other = House::with_key(&[(1, answers())], key()).await;
    other.front_end.view(view(&sealed)).await.unwrap();
    let stranger = House::with_key(&[(1, answers())], ClusterKey::new(&[8; 32])).await;
    let refused = info(stranger.front_end.view(view(&sealed)).await);
    assert_eq!(refused.reason, "OTHER_CLUSTER_KEY");
    // One without a key takes what it is given, and is not taken by those with one.
    let open = House::new(&[(1, answers())]).await;
    let carried = open.front_end.view(view(&sealed)).await.unwrap();
    let unsealed = carried.into_inner().session.unwrap().token;
    let refused = info(front_end.view(view(&unsealed)).await);
    assert_eq!(refused.reason, "BAD_TOKEN");
}

#[tokio::test]
async fn an_update_waits_for_copies_with_all_the_time_there_is() {
    let house = House::new(&[(1, answers()), (2, answers())]).await;
    let mut request = rate(b"");
    request.get_mut().copies = 2;
    let rated = house.front_end.rate(request).await.unwrap().into_inner();
    // The fake never has a second copy: the reply says so, and who has the update.
    assert_eq!((rated.server, rated.servers), (1, vec![1]));
    let received = house.received.borrow().clone();
    let asked: Vec<_> = received
        .iter()
        .filter_map(|(server, request)| match &request.body {
            Some(Body::CopiedUpdate(update)) => Some((server, request.patience_ms, update)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 2, "{received:?}");
    assert!(asked.iter().all(|(server, ..)| **server == 1));
    assert_eq!(asked[0].2, asked[1].2, "it is the same update");
    assert!(asked[1].1 > asked[0].1, "the second server's share as well");
}

#[tokio::test]
async fn freshness_is_hoped_for_and_dropped_in_vain() {
    let house = House::new(&[(1, Act::Answers(ts([(1, 5)]), 1))]).await;
    let hopes_after = async |act: Act, session: &[u8]| {
        house.act(1, act);
        house.asked();
        house.front_end.view(view(session)).await.unwrap();
        house.queries().remove(0)
    };
    let empty = Some(v1::Timestamp::default());
    let first = hopes_after(Act::Answers(ts([(1, 5)]), 1), b"").await;
    assert_eq!((&first.prev, &first.hoped), (&empty, &empty));

    // What a session claims binds it alone.
    let claimed = token(ts([(9, 9)]));
    let second = hopes_after(Act::Answers(ts([(1, 2)]), 1), &claimed).await;
    assert_eq!(second.prev, Some((&ts([(9, 9)])).into()));
    assert_eq!(second.hoped, Some((&ts([(1, 5)])).into()));

    let third = hopes_after(answers(), b"").await;
    assert_eq!(
        (&third.prev, third.hoped),
        (&empty, Some((&ts([(1, 2)])).into()))
    );

    // An update's timestamp holds what its session claimed.
    house.act(1, Act::Answers(ts([(1, 6), (9, 9)]), 1));
    house.front_end.rate(rate(&claimed)).await.unwrap();
    let fourth = hopes_after(answers(), b"").await;
    assert_eq!(fourth.hoped, Some((&ts([(1, 6)])).into()));
}

#[tokio::test]
async fn a_hanging_replica_costs_a_share_and_is_then_skipped() {
    let house = House::new(&[(1, Act::Hangs), (2, answers())]).await;
    let mut request = view(b"");
    request.set_timeout(Duration::from_secs(2));
    house.front_end.view(request).await.unwrap();
    let received = house.received.borrow().clone();
    let requests: Vec<_> = received.iter().filter(|(_, r)| !is_cancel(r)).collect();
    assert_eq!(
        requests
            .iter()
            .map(|(number, _)| *number)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    // Half of the time that was left is the first one's, and it knows.
    assert!(
        (1..1000).contains(&requests[0].1.patience_ms),
        "{requests:?}"
    );

    // Each probe takes longer than the first waits, so that some must be skipped.
    let mut skipped = 0;
    for _ in 0..10 {
        house.asked();
        let mut request = view(b"");
        request.set_timeout(Duration::from_secs(2));
        house.front_end.view(request).await.unwrap();
        skipped += usize::from(house.asked() == [2]);
    }
    assert!(skipped > 0);
}

#[tokio::test]
async fn waits_end_by_the_callers_deadline() {
    let house = House::new(&[(1, Act::Hangs), (2, Act::Hangs)]).await;
    for (update, expected) in [(false, "ALL_BUSY"), (true, "OUTCOME_UNKNOWN")] {
        let limit = Duration::from_millis(200);
        let request = async {
            if update {
                let mut request = rate(b"");
                request.set_timeout(limit);
                info(house.front_end.rate(request).await)
            } else {
                let mut request = view(b"");
                request.set_timeout(limit);
                info(house.front_end.view(request).await)
            }
        };
        let info = tokio::time::timeout(LONG / 2, request).await.unwrap();
        assert_eq!(info.reason, expected);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_request() {
    let house = House::new(&[(1, Act::Hangs)]).await;
    let front_end = Arc::clone(&house.front_end);
    let caller = tokio::spawn(async move { front_end.view(view(b"")).await });
    let received = house.until(|received| !received.is_empty()).await;
    caller.abort();
    let after = house.until(|received| received.len() == 2).await;
    assert!(is_cancel(&after[1].1));
    assert_eq!(after[1].1.number, received[0].1.number);
}

#[tokio::test]
async fn one_client_leaves_places_to_others() {
    let house = House::new(&[(1, Act::Hangs)]).await;
    let address = house.listen().await;
    // Each is a connection of its own, and has 1,024 calls at most.
    let connect = || FrontEndClient::new(Environment::seeded(1).connect(&address));
    let mut greedy = JoinSet::new();
    for _ in 0..3 {
        let client = connect();
        for _ in 0..1024 {
            let mut client = client.clone();
            let mut request = view(b"");
            request.set_timeout(3 * LONG);
            greedy.spawn(async move { client.view(request).await });
        }
    }
    // Each is held, or refused at once.
    let mut received = house.follow();
    while received.borrow_and_update().len() < greedy.len() {
        tokio::select! {
            changed = received.changed() => changed.unwrap(),
            Some(ended) = greedy.join_next() => {
                assert_eq!(info(ended.unwrap()).reason, "ALL_BUSY");
            }
        }
    }
    house.act(1, answers());
    let answered = connect().view(view(b"")).await;
    assert!(answered.is_ok(), "{answered:?}");
    let status = connect().status(v1::StatusRequest {}).await.unwrap();
    assert_eq!(status.into_inner().servers.len(), 1);

    // What is given up is given up at the server too.
    let held = greedy.len();
    greedy.shutdown().await;
    let is_cancelled = |received: &Vec<(u32, ServeRequest)>| {
        received
            .iter()
            .filter(|(_, request)| is_cancel(request))
            .count()
            >= held
    };
    house.until(is_cancelled).await;
}

#[tokio::test]
async fn servers_come_and_go() {
    let mut house = House::new(&[(1, answers())]).await;
    let front_end = Arc::clone(&house.front_end);
    assert_eq!(outcome(&front_end, false).await, "");
    house.open(2, answers()).await;
    house.act(1, Act::Declines);
    assert_eq!(outcome(&front_end, false).await, "");
    // Server 1 starts again, elsewhere.
    house.open(1, answers()).await;
    assert_eq!(outcome(&front_end, false).await, "");
    assert_eq!(house.asked(), [1, 1, 2, 1]);
    house.entries.send_replace([].into());
    assert_eq!(outcome(&front_end, false).await, "ALL_BUSY");
    assert!(house.asked().is_empty());
}

#[tokio::test]
async fn a_broken_stream_is_opened_again() {
    let house = House::new(&[(1, Act::Breaks)]).await;
    assert_eq!(outcome(&house.front_end, false).await, "ALL_BUSY");
    house.act(1, answers());
    // It is skipped for a while, but tried when there is no other.
    assert_eq!(outcome(&house.front_end, false).await, "");
}

#[tokio::test]
async fn status_is_of_all_and_its_change_of_one() {
    let servers = [
        (1, answers()),
        (2, Act::Absent),
        (3, Act::Declines),
        (10, answers()),
    ];
    let house = House::new(&servers).await;
    let status = house.front_end.status(within(v1::StatusRequest {})).await;
    let listed = status.unwrap().into_inner().servers;
    let statuses: Vec<_> = listed
        .iter()
        .map(|s| (s.server, s.status(), s.state.is_some()))
        .collect();
    let (online, away) = (ServerStatus::Online, ServerStatus::Unreachable);
    let expected = [
        (1, online, true),
        (2, away, false),
        (3, away, false),
        (10, online, true),
    ];
    assert_eq!(statuses, expected);
    assert!(
        listed
            .iter()
            .all(|server| server.address.starts_with("127.0.0.1:"))
    );

    house.asked();
    let change = |server| within(v1::ChangeStatusRequest { server, wanted: 0 });
    let changed = house
        .front_end
        .change_status(change(10))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (changed.from(), changed.to()),
        (online, ServerStatus::Offline)
    );
    assert_eq!(house.asked(), [10]);

    let unknown = info(house.front_end.change_status(change(4)).await);
    assert_eq!(unknown.reason, "UNKNOWN_SERVER");
    assert_eq!(unknown.metadata["servers"], "1,2,3,10");
    let away = house.front_end.change_status(change(2)).await.unwrap_err();
    assert_eq!(
        away.message(),
        "server 2 does not answer; please try again later"
    );
}

#[tokio::test]
async fn a_wanted_status_goes_to_the_server() {
    let house = House::new(&[(1, answers())]).await;
    let change = async |wanted| {
        let request = v1::ChangeStatusRequest { server: 1, wanted };
        house.front_end.change_status(within(request)).await
    };
    for wanted in [0, 1, 2] {
        change(wanted).await.unwrap();
        let received = house.until(|received| !received.is_empty()).await;
        let Some(Body::ChangeStatus(asked)) = received[0].1.body else {
            panic!("{received:?}");
        };
        assert_eq!(asked.wanted, wanted);
        house.asked();
    }
    for nonsense in [3, 4, 5, -1] {
        assert_eq!(info(change(nonsense).await).reason, "INVALID", "{nonsense}");
        assert_eq!(house.asked(), [0; 0]);
    }
}

#[tokio::test]
async fn a_traceparent_goes_to_the_server() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let house = House::new(&[(1, answers())]).await;
    let check = async |sent: Option<&str>, expected: &str| {
        fn with<T>(sent: Option<&str>, mut request: Request<T>) -> Request<T> {
            if let Some(sent) = sent {
                let sent = sent.parse().unwrap();
                request.metadata_mut().insert("traceparent", sent);
            }
            request
        }
        let front_end = &house.front_end;
        front_end.view(with(sent, view(b""))).await.unwrap();
        front_end.rate(with(sent, rate(b""))).await.unwrap();
        let (server, wanted, limit) = (1, 0, 1);
        let change = within(v1::ChangeStatusRequest { server, wanted });
        front_end.change_status(with(sent, change)).await.unwrap();
        let log = within(v1::LogRequest { server, limit });
        Operator::log(&**front_end, with(sent, log)).await.unwrap();
        let status = within(v1::StatusRequest {});
        front_end.status(with(sent, status)).await.unwrap();
        // It asks who takes part, besides.
        let digest = within(v1::DigestRequest {});
        let asked = Operator::digest(&**front_end, with(sent, digest));
        asked.await.unwrap();
        let received = house.until(|received| received.len() >= 7).await;
        let arrived: Vec<_> = received.iter().map(|(_, r)| &r.traceparent[..]).collect();
        assert_eq!(arrived, [expected; 7], "{sent:?}");
        house.asked();
    };
    check(Some(good), good).await;
    check(None, "").await;
    check(Some(&good.to_uppercase()), "").await;
    check(Some(&format!("{good}-and-more")), "").await;
    check(Some("nonsense"), "").await;
}

#[tokio::test]
async fn a_front_end_is_connected_when_a_server_answers() {
    let mut house = House::new(&[(1, Act::Absent)]).await;
    let front_end = Arc::clone(&house.front_end);
    let connected = tokio::spawn(async move { front_end.connected().await });
    house.open(2, answers()).await;
    tokio::time::timeout(LONG, connected)
        .await
        .unwrap()
        .unwrap();
    let received = house.received.borrow().clone();
    assert!(matches!(received[0].1.body, Some(Body::Describe(_))));
}

fn check_session(carried: &v1::Session, prev: Timestamp, clock: u64) {
    let session = backfence_wire::session(&carried.token).unwrap();
    assert_eq!(session.prev, prev);
    assert_eq!(session.clock, Time(clock));
    // The time goes on meanwhile.
    assert!(carried.clock_us >= clock, "{}", carried.clock_us);
    assert_eq!(carried.id, session.id.0.to_be_bytes());
}

fn is_cancel(request: &v1::ServeRequest) -> bool {
    matches!(request.body, Some(Body::Cancel(_)))
}

fn hello(cluster: u8, standing: v1::ClusterStanding) -> Option<v1::Hello> {
    Some(v1::Hello {
        cluster: vec![cluster; 16],
        standing: standing.into(),
        ..v1::Hello::default()
    })
}

/// A replica of before 0.2 does not know Hello, and is asked all the same; one of another
/// cluster is not, nor sent anything.
#[tokio::test]
async fn servers_of_the_first_cluster_are_asked_and_those_of_before() {
    use v1::ClusterStanding::{Candidate, Established};
    let servers = [1, 2, 3, 4].map(|number| (number, Act::Declines));
    let house = House::new(&servers).await;
    house.hello(1, hello(1, Established));
    house.hello(2, None);
    house.hello(3, hello(2, Established));
    house.hello(4, hello(2, Candidate));
    for update in [false, true] {
        assert_eq!(outcome(&house.front_end, update).await, "ALL_BUSY");
        assert_eq!(house.asked(), [1, 2, 4], "update: {update}");
    }
    let status = house.front_end.status(within(v1::StatusRequest {}));
    let listed = status.await.unwrap().into_inner().servers;
    let clusters: Vec<_> = listed.iter().map(|server| &server.cluster[..]).collect();
    assert_eq!(clusters, [&[][..], &[], &[2; 16], &[]]);
    assert_eq!(listed[2].status(), ServerStatus::Unreachable);
}

/// Whoever repeats the fingerprint that came with a movie's id is served by servers with the
/// same data only, and is told which server has others where there is none.
#[tokio::test]
async fn a_request_goes_to_servers_whose_data_its_ids_are_of() {
    let servers = [1, 2].map(|number| (number, Act::Declines));
    let house = House::new(&servers).await;
    for (server, data) in [(1, "x"), (2, "y")] {
        let hello = v1::Hello {
            fingerprint: data.to_owned(),
            ..v1::Hello::default()
        };
        house.hello(server, Some(hello));
    }
    let view = async |fingerprint: &str| {
        let mut request = view(b"");
        request.get_mut().fingerprint = fingerprint.to_owned();
        house.front_end.view(request).await
    };
    // Nobody has joined anybody: whose data count is not settled.
    let undecided = info(view("").await);
    assert_eq!(undecided.reason, "OTHER_DATA");
    assert_eq!(undecided.metadata["server"], "2");
    assert_eq!(house.asked(), [1, 2]);
    for server in [1, 2] {
        house.act(server, answers());
    }
    for (data, server) in [("x", 1), ("y", 2)] {
        view(data).await.expect("an answer");
        assert_eq!(house.asked(), [server]);
    }
    let refused = info(view("z").await);
    assert_eq!(refused.reason, "OTHER_DATA");
    assert_eq!(refused.metadata["server"], "2");
    assert_eq!(house.asked(), [0; 0]);
}
