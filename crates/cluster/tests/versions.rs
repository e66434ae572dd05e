//! Programs of several versions in one cluster, and servers of two clusters at one registry.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::sync::Arc;

use backfence_client::{ReplicaId, Server, ServerProgram, ServerStatus, Session, UserId};
use backfence_cluster::{Cluster, Role, write_small_data};
use backfence_ratings::{Base, MovieId, Operation, Rating};
use backfence_store::Store;
use backfence_wire::{
    Versions, offer,
    v1::{self, peer_message::Body, replica_client::ReplicaClient},
};
use support::{UNRATED, converged, ends, ledger::Load, online, rate, run, session, until, view};

/// Sessions of a load.
const SESSIONS: u64 = 6;

/// What each server runs, once all of so many say it, and it is as wanted.
async fn programs(
    session: &mut Session,
    what: &str,
    servers: usize,
    wanted: impl Fn(&[ServerProgram]) -> bool,
) -> Vec<ServerProgram> {
    until(what, session, async |session| {
        let listed = session.status().await.ok()?;
        let programs = listed.into_iter().map(|server| server.program);
        let programs: Vec<_> = programs.collect::<Option<_>>()?;
        (programs.len() == servers && wanted(&programs)).then_some(programs)
    })
    .await
}

/// Has each server start anew, one after the other, with this version of the wire.
async fn roll(cluster: &mut Cluster, load: &Load, session: &mut Session, newest: Option<u32>) {
    for server in 1..=3 {
        cluster.speak(server, newest);
        let role = Role::Replica(server);
        let ended = cluster.terminate(role).expect("it is stopped");
        assert_eq!(ended, Some(0));
        load.acknowledged(20).await;
        cluster.restart(role).expect("it comes back");
        online(session, 3).await;
        load.acknowledged(20).await;
    }
}

/// Up, mixed, and down again, under load: nothing that was acknowledged is lost, and each
/// speaks what the others understand.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_and_taken_back_server_by_server() {
    let all = |speaks| move |all: &[ServerProgram]| all.iter().all(|one| one.speaks == speaks);
    let Versions { oldest, newest } = Versions::OWN;
    let mut cluster = Cluster::builder().data_dirs(true).front_ends(2);
    for server in 1..=3 {
        cluster = cluster.wire_newest(server, oldest);
    }
    let mut cluster = cluster.start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    let load = Load::start(&cluster, SESSIONS).await;
    let programs_of = programs(&mut session, "all are old", 3, all(oldest)).await;
    let name = programs_of[0].cluster;
    load.acknowledged(20).await;

    // One is upgraded: a state goes from the new to an old one, and back.
    cluster.speak(1, None);
    cluster.terminate(Role::Replica(1)).expect("it is stopped");
    cluster.restart(Role::Replica(1)).expect("it comes back");
    let mixed = |all: &[ServerProgram]| {
        let news: Vec<_> = all.iter().map(|one| one.newest).collect();
        news == [newest, oldest, oldest] && all.iter().all(|one| one.speaks == oldest)
    };
    programs(&mut session, "they are mixed", 3, mixed).await;
    for server in [2, 1] {
        let role = Role::Replica(server);
        // It hands over what only it has.
        cluster.terminate(role).expect("it is stopped");
        cluster.wipe(server).expect("its disk is wiped");
        load.acknowledged(20).await;
        cluster.restart(role).expect("it comes back");
        online(&mut session, 3).await;
        load.acknowledged(20).await;
    }
    programs(&mut session, "they are mixed still", 3, mixed).await;

    roll(&mut cluster, &load, &mut session, None).await;
    programs(&mut session, "all are new", 3, all(newest)).await;
    roll(&mut cluster, &load, &mut session, Some(oldest)).await;
    let last = programs(&mut session, "all are old again", 3, all(oldest)).await;
    assert!(last.iter().all(|one| one.cluster == name), "{last:?}");
    load.end(&cluster, 3).await;
}

fn cluster_of(server: &Server) -> String {
    let program = server.program.as_ref();
    program.map_or_else(String::new, |program| program.cluster.to_string())
}

/// A server that registers where another cluster is takes no part in it, and its front ends
/// ask it nothing; both clusters are named. Who belongs to neither cannot tell which is meant.
#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_at_one_registry_are_told_apart() {
    let one = Cluster::builder().data_dirs(true).start();
    let one = one.expect("a cluster");
    let two = Cluster::builder().replicas(4).data_dirs(true).start();
    let mut two = two.expect("another");
    let mut here = session(&one, 3).await;
    let mut there = session(&two, 4).await;
    rate(&mut here, 5, "1.5").await.expect("it is taken");
    rate(&mut there, 5, "4.5").await.expect("it is taken");
    converged(&mut here, 3).await;
    converged(&mut there, 4).await;
    let names = [online(&mut here, 3).await, online(&mut there, 4).await]
        .map(|servers| cluster_of(&servers[0]));
    assert_ne!(names[0], names[1]);

    let stray = Role::Replica(4);
    two.terminate(stray).expect("it is stopped");
    let elsewhere = one.registry();
    let move_there = |args: &mut Vec<String>| {
        let at = args.iter().position(|arg| arg == "--registry");
        args[at.expect("it is given") + 1].clone_from(&elsewhere);
    };
    two.restart_with(stray, move_there).expect("it starts");
    let named = names.each_ref().map(String::as_str);
    for (cluster, role) in [(&two, stray), (&one, Role::Replica(1))] {
        cluster.wait_for_log(role, &named).expect("both are named");
    }
    until("the stray is told apart", &mut here, async |session| {
        let servers = session.status().await.ok()?;
        let statuses: Vec<_> = servers.iter().map(|server| server.status).collect();
        use ServerStatus::{Online, OtherCluster};
        (statuses == [Online, Online, Online, OtherCluster]).then_some(())
    })
    .await;
    one.wait_for_log(Role::FrontEnd(1), &named)
        .expect("the front end names both");
    let members = here.members().await.expect("an answer");
    assert!(members.iter().all(|member| member.id.server != 4));
    // Even where nobody else serves, it is not asked.
    for server in 1..=3 {
        here.change_status(server).await.expect("it is turned off");
    }
    assert!(view(&mut here, 5).await.is_err());
    for server in 1..=3 {
        here.change_status(server).await.expect("it is turned on");
    }
    assert_eq!(view(&mut here, 5).await.expect("an answer"), "1.5");

    let mut args = one.arguments(Role::Replica(1));
    args.drain(
        args.iter()
            .position(|arg| arg == "--data-dir")
            .expect("it is given")..,
    );
    let at = args.iter().position(|arg| arg == "--server");
    "5".clone_into(&mut args[at.expect("it is given") + 1]);
    let texts = [named[0], named[1], "a registry of its own"];
    ends(&run("backfence-replica", &args), 4, &texts);
}

/// A Rate of 4.5 by user 17 for movie 8 with a field 9, in an Operation with a field 15.
const OPERATION: &[u8] = b"\x0a\x0b\x08\x11\x10\x08\x18\xc8\xdf\x02\x48\xac\x02\x7a\x03new";
/// A field 16 of the update.
const UPDATE: &[u8] = b"\x82\x01\x0ffrom the future";

/// A record from a later version goes through an old replica to another, and to its disk, with
/// the fields that neither knows.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_added_goes_through_an_old_replica() {
    let data = tempfile::tempdir().expect("a folder");
    write_small_data(data.path(), "Last").expect("the data are written");
    let load = || {
        Base::load(
            &data.path().join("movies.csv"),
            &data.path().join("ratings.csv"),
            true,
        )
    };
    let base = Arc::new(load().expect("it is well-formed").base);
    let mut cluster = Cluster::builder()
        .data(data.path())
        .replicas(2)
        .data_dirs(true);
    for server in 1..=2 {
        cluster = cluster.wire_newest(server, Versions::OWN.oldest);
    }
    let mut cluster = cluster.start().expect("a cluster");
    let mut session = session(&cluster, 2).await;
    let later = ReplicaId::new(9, 1);
    let servers = online(&mut session, 2).await;
    let states = servers.into_iter().filter_map(|server| server.state);
    let known: Vec<_> = states.map(|state| state.id).chain([later]).collect();
    let offer = first_record(later, known);
    gossip_as(&cluster, later, &base.fingerprint(), offer).await;

    let rating = until(
        "the update has effect at both",
        &mut session,
        async |session| {
            let servers = session.status().await.ok()?;
            let has = |server: &Server| {
                let state = server.state.as_ref();
                state.is_some_and(|state| state.value_ts.count(later) == 1)
            };
            // The one that the record is of is in sight, and does not answer.
            let mut answer = servers.iter().filter(|server| server.state.is_some());
            if !answer.all(has) {
                return None;
            }
            session.view(UserId(17), UNRATED).await.ok()?
        },
    )
    .await;
    assert_eq!(rating.rating.to_string(), "4.5");

    for server in 1..=2 {
        cluster
            .terminate(Role::Replica(server))
            .expect("it is stopped");
        let directory = cluster.data_dir(server).expect("it keeps something");
        let (_, stored) = Store::open(&directory, server, base.clone()).expect("it is whole");
        let logged = stored.state.iter().flat_map(|state| &state.log);
        let mut records = logged.map(|entry| &entry.record).chain(&stored.records);
        let record = records.find(|record| record.origin() == later);
        let operation = &record.expect("it is kept").update().operation;
        let kept = operation.later().expect("it has more than is known");
        assert_eq!((kept.operation(), kept.update()), (OPERATION, UPDATE));
    }
}

/// What a replica of a later version says that has taken one update, and knows these. It says
/// not to have it, so nobody discards it.
fn first_record(from: ReplicaId, known: Vec<ReplicaId>) -> v1::Offer {
    use backfence_gossip::{Offer, Record, SessionId, Standing, Time, Timestamp, Update, UpdateId};
    let now = Time(backfence_process::Environment::real().now().0);
    let rate = Operation::Rate {
        user: backfence_ratings::UserId(17),
        movie: MovieId(8),
        rating: Rating::from_ten_thousandths(45_000).expect("4.5 stars"),
    };
    let update = Update {
        id: UpdateId::new(SessionId(7), 1),
        prev: Timestamp::new(),
        time: now,
        operation: rate.with_later(OPERATION, UPDATE),
    };
    let report = Offer {
        from,
        replica_ts: Timestamp::new(),
        members: known,
        ended: Vec::new(),
        records: vec![Record::new(from, 1, update).expect("it can be")],
        more: false,
        standing: Standing::New,
        horizon: Time::default(),
        settled: Time::default(),
    };
    offer(&report, false, now)
}

/// Says this to the first replica, and waits for its answer.
async fn gossip_as(cluster: &Cluster, id: ReplicaId, fingerprint: &str, offer: v1::Offer) {
    let hello = v1::Hello {
        id: Some(id.into()),
        fingerprint: fingerprint.to_owned(),
        cluster: vec![255; 16],
        standing: v1::ClusterStanding::Candidate.into(),
        wire: Some(v1::WireVersions {
            oldest: 1,
            newest: 99,
        }),
        build: "9.0.0".to_owned(),
        ..v1::Hello::default()
    };
    let says = [Body::Hello(hello), Body::Offer(offer)].map(|body| v1::PeerMessage {
        event: 0,
        body: Some(body),
    });
    let address = format!("http://{}", cluster.address(Role::Replica(1)));
    let mut client = ReplicaClient::connect(address).await.expect("it is there");
    let (calls, receiver) = tokio::sync::mpsc::channel(2);
    let answers = client.gossip(tokio_stream::wrappers::ReceiverStream::new(receiver));
    for message in says {
        calls.send(message).await.expect("there is room");
    }
    let mut answers = answers.await.expect("it answers").into_inner();
    let mut answer = async || {
        let answer = answers.message().await.expect("it takes both");
        let answer = answer.expect("it goes on");
        (answer.event, answer.body.expect("it is not empty"))
    };
    let (first, Body::Hello(said)) = answer().await else {
        panic!("no Hello");
    };
    assert_eq!(Versions::from(said.wire).newest, Versions::OWN.oldest);
    assert_eq!(said.build, env!("CARGO_PKG_VERSION"));
    assert_ne!(said.standing(), v1::ClusterStanding::Candidate);
    let (second, Body::Offer(said)) = answer().await else {
        panic!("no offer");
    };
    assert!(first > 0 && second > first, "{first}, {second}");
    assert!(said.now_us > 0);
}
