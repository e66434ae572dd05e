//! What operators ask of a front end, and who may.

mod support;

use backfence_frontend::FrontEnd;
use backfence_gossip::{ReplicaId, Time};
use backfence_process::{ClusterKey, Environment, authorization};
use backfence_wire::v1::{
    self, ServerStatus, front_end_server::FrontEnd as Open, operator_server::Operator,
};
use tonic::{Code, Request, Response, Status};

use support::{Act, House, answers, info, within};

fn key(byte: u8) -> Option<ClusterKey> {
    ClusterKey::new(&[byte; ClusterKey::SHORTEST])
}

/// With the token of an operator with this key, made at this time.
fn with_token<T>(byte: u8, now: Time, message: T) -> Request<T> {
    let mut request = within(message);
    let key = key(byte).expect("it is long enough");
    let metadata = request.metadata_mut();
    metadata.insert("authorization", authorization(&key, now));
    request
}

fn by_operator<T>(message: T) -> Request<T> {
    with_token(1, Environment::seeded(7).now(), message)
}

/// What becomes of each call that is for operators: those that read, the change of a
/// status, those that do something. Each has this token, if any.
async fn outcomes(house: &House, token: Option<(u8, Time)>) -> [String; 7] {
    fn reason<T>(called: Result<Response<T>, Status>) -> String {
        called.map_or_else(|status| info::<()>(Err(status)).reason, |_| String::new())
    }
    fn with<T>(token: Option<(u8, Time)>, message: T) -> Request<T> {
        match token {
            Some((byte, now)) => with_token(byte, now, message),
            None => within(message),
        }
    }
    let (operator, server, limit) = (&*house.front_end, 1, 1);
    let (wanted, force) = (ServerStatus::Online.into(), true);
    [
        reason(Operator::members(operator, with(token, v1::MembersRequest {})).await),
        reason(Operator::digest(operator, with(token, v1::DigestRequest {})).await),
        reason(Operator::log(operator, with(token, v1::LogRequest { server, limit })).await),
        reason(Operator::at_risk(operator, with(token, v1::AtRiskRequest { limit })).await),
        reason(
            Open::change_status(
                operator,
                with(token, v1::ChangeStatusRequest { server, wanted }),
            )
            .await,
        ),
        reason(Operator::gossip(operator, with(token, v1::GossipRequest { server })).await),
        reason(
            Operator::retire(
                operator,
                with(token, v1::RetireRequest { server: 2, force }),
            )
            .await,
        ),
    ]
}

#[tokio::test]
async fn who_may_call_what_with_and_without_a_key() {
    let now = Environment::seeded(7).now();
    let (none, bad, old) = (
        "NO_OPERATOR_TOKEN",
        "BAD_OPERATOR_TOKEN",
        "EXPIRED_OPERATOR_TOKEN",
    );
    let open = ["", "", "", "", "", none, none];
    for (key, token, expected) in [
        (key(1), None, [none; 7]),
        (key(1), Some((1, now)), [""; 7]),
        (key(1), Some((2, now)), [bad; 7]),
        (key(1), Some((1, Time(0))), [old; 7]),
        (None, None, open),
        (None, Some((1, now)), open),
    ] {
        let has_key = key.is_some();
        let house = House::with_key(&[(1, answers()), (2, answers())], key).await;
        let found = outcomes(&house, token).await;
        assert_eq!(found, expected, "with a key: {has_key}, by {token:?}");
        // What everybody may know stays open.
        let status = Open::status(&*house.front_end, within(v1::StatusRequest {}));
        assert_eq!(status.await.unwrap().into_inner().servers.len(), 2);
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_pass() {
    for (key, expected) in [
        (key(1), "--cluster-key FILE or BACKFENCE_CLUSTER_KEY"),
        (
            None,
            "start all programs of the cluster with --cluster-key FILE",
        ),
    ] {
        let house = House::with_key(&[(1, answers())], key).await;
        let request = within(v1::RetireRequest::default());
        let refused = Operator::retire(&*house.front_end, request).await;
        let refused = refused.expect_err("nobody is an operator");
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn the_old_names_say_where_they_have_gone() {
    async fn check<T>(name: &str, called: impl Future<Output = Result<Response<T>, Status>>) {
        let refused = called.await.err().expect("it is not here any more");
        assert_eq!(refused.code(), Code::Unimplemented);
        let expected = format!("{name} is a method of backfence.v1.Operator now");
        assert!(refused.message().starts_with(&expected), "{refused}");
    }
    let house = House::with_key(&[(1, answers()), (2, answers())], key(1)).await;
    let old: &FrontEnd = &house.front_end;
    check(
        "Members",
        Open::members(old, by_operator(v1::MembersRequest {})),
    )
    .await;
    check(
        "Digest",
        Open::digest(old, by_operator(v1::DigestRequest {})),
    )
    .await;
    check(
        "Log",
        Open::log(old, by_operator(v1::LogRequest::default())),
    )
    .await;
    check(
        "AtRisk",
        Open::at_risk(old, by_operator(v1::AtRiskRequest::default())),
    )
    .await;
    check(
        "Gossip",
        Open::gossip(old, by_operator(v1::GossipRequest::default())),
    )
    .await;
    check(
        "Retire",
        Open::retire(old, by_operator(v1::RetireRequest::default())),
    )
    .await;
    assert_eq!(house.asked(), [0; 0]);
}

/// Another server than the one in question does it; that one says why not where there
/// is no other.
#[tokio::test]
async fn a_server_is_retired_by_another() {
    let retire = |server| {
        by_operator(v1::RetireRequest {
            server,
            force: true,
        })
    };
    for (acts, server, asked, expected) in [
        (vec![answers(), answers()], 1, vec![2], ""),
        (vec![answers(), answers()], 2, vec![1], ""),
        (vec![answers(), answers()], 7, vec![1], ""),
        (vec![Act::Breaks, answers()], 7, vec![1, 2], ""),
        (
            vec![Act::Refuses("RETIRES_ITSELF"), Act::Declines],
            1,
            vec![2, 1],
            "RETIRES_ITSELF",
        ),
        (vec![], 1, vec![], "ALL_BUSY"),
    ] {
        let servers: Vec<_> = (1..).zip(acts).collect();
        let house = House::with_key(&servers, key(1)).await;
        let retired = Operator::retire(&*house.front_end, retire(server)).await;
        let reason =
            retired.map_or_else(|status| info::<()>(Err(status)).reason, |_| String::new());
        assert_eq!((reason.as_str(), house.asked()), (expected, asked));
    }
}

#[tokio::test]
async fn members_are_listed_with_who_answers() {
    let house = House::with_key(&[(1, answers()), (2, Act::Absent)], key(1)).await;
    let members = Operator::members(&*house.front_end, by_operator(v1::MembersRequest {})).await;
    let members = members.unwrap().into_inner().members;
    let listed = members.iter().map(|member| (member.id, member.status()));
    let first = Some(ReplicaId::new(1, 1).into());
    assert_eq!(listed.collect::<Vec<_>>(), [(first, ServerStatus::Online)]);
}

#[tokio::test]
async fn an_operator_sees_digests_and_logs_and_has_servers_gossip() {
    let house = House::with_key(&[(1, answers()), (2, Act::Absent)], key(1)).await;
    let digests = Operator::digest(&*house.front_end, by_operator(v1::DigestRequest {})).await;
    let servers = digests.unwrap().into_inner().servers.into_iter();
    let answered = servers.map(|said| (said.server, said.value.map(|value| value.digest)));
    assert_eq!(
        answered.collect::<Vec<_>>(),
        [(1, Some(vec![7; 16])), (2, None)]
    );
    for (limit, asked) in [(0, 100), (5, 5)] {
        let log = v1::LogRequest { server: 1, limit };
        let log = Operator::log(&*house.front_end, by_operator(log))
            .await
            .unwrap();
        assert_eq!(log.into_inner().log.unwrap().total, asked);
    }
    let gossip =
        |server| Operator::gossip(&*house.front_end, by_operator(v1::GossipRequest { server }));
    let peers = gossip(1).await.unwrap().into_inner().peers;
    assert_eq!(peers, [ReplicaId::new(2, 1).into()]);
    assert_eq!(info(gossip(2).await).reason, "SERVER_AWAY");
    assert_eq!(info(gossip(3).await).reason, "UNKNOWN_SERVER");
}

/// What only one has noted, the next is told too; what has become of it is told in any case.
#[tokio::test]
async fn a_retirement_is_noted_by_two_where_there_are_two() {
    let refuses = || Act::Refuses("RETIRES_ITSELF");
    for (acts, asked, servers, missing) in [
        // Two have it, or there is no other.
        (
            vec![Act::Retires(&[1, 2], &[]), refuses()],
            1,
            vec![1, 2],
            vec![],
        ),
        (vec![Act::Retires(&[1], &[]), refuses()], 1, vec![1], vec![]),
        // One of before 0.3 does not say who.
        (vec![answers(), refuses()], 1, vec![], vec![]),
        // The next does not know that the first has it.
        (
            vec![
                Act::Retires(&[1], &[2]),
                Act::Retires(&[2], &[1]),
                refuses(),
            ],
            2,
            vec![1, 2],
            vec![],
        ),
        // For the next the first is out, and nobody hears of what it has noted.
        (
            vec![Act::Retires(&[1], &[2]), Act::Retires(&[2], &[]), refuses()],
            2,
            vec![2],
            vec![],
        ),
        // The next does not answer.
        (
            vec![Act::Retires(&[1], &[2]), Act::Breaks, refuses()],
            3,
            vec![1],
            vec![2],
        ),
    ] {
        let last = u32::try_from(acts.len()).unwrap();
        let house: Vec<_> = (1..).zip(acts).collect();
        let house = House::with_key(&house, key(1)).await;
        let request = by_operator(v1::RetireRequest {
            server: last,
            force: true,
        });
        let retired = Operator::retire(&*house.front_end, request).await.unwrap();
        let retired = retired.into_inner();
        assert_eq!((retired.servers, retired.missing), (servers, missing));
        assert_eq!(house.asked().len(), asked);
    }
}
