//! Sessions with real servers, whose front ends come and go.

#![cfg(unix)]

use std::time::Duration;

use backfence_client::{Client, MovieId, Rating, Source, UserId};
use backfence_cluster::{Cluster, Role};
use backfence_process::{Address, CancellationToken, Discovery, Environment, Name, bind};

const TOY_STORY: MovieId = MovieId(1);
const USER: UserId = UserId(1);

async fn client(cluster: &Cluster) -> Client {
    let source = Source::Registry(cluster.registry().parse().unwrap());
    let client = Client::connect(&Environment::real(), source).await;
    client.unwrap().with_limit(Duration::from_secs(20))
}

fn rating(text: &str) -> Rating {
    text.parse().unwrap()
}

/// What a session wrote through one front end it reads through the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_its_front_ends() {
    let mut cluster = Cluster::builder().front_ends(2).start().unwrap();
    let mut session = client(&cluster).await.session();
    for (turn, killed) in [(1, 1), (2, 2), (3, 1)] {
        let given = rating(&turn.to_string());
        let updated = session.rate(USER, TOY_STORY, given).await.unwrap();
        assert_eq!(updated.id.sequence, turn);
        cluster.kill(Role::FrontEnd(killed)).unwrap();
        let seen = session.view(USER, TOY_STORY).await.unwrap().unwrap();
        assert_eq!((seen.rating, seen.update), (given, Some(updated.id)));
        cluster.restart(Role::FrontEnd(killed)).unwrap();
    }
}

/// The only front end comes back elsewhere: the registry says where.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_moves_is_found_again() {
    let mut cluster = Cluster::builder().replicas(2).start().unwrap();
    let mut session = client(&cluster).await.session();
    let updated = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    let before = cluster.front_end(1);
    cluster.kill(Role::FrontEnd(1)).unwrap();
    cluster.restart(Role::FrontEnd(1)).unwrap();
    assert_ne!(cluster.front_end(1), before);
    let seen = session.view(USER, TOY_STORY).await.unwrap().unwrap();
    assert_eq!(seen.update, Some(updated.id));
}

/// Other sessions of one client, at the same time, each with their own ids.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_share_a_client() {
    let cluster = Cluster::builder().front_ends(2).start().unwrap();
    let client = client(&cluster).await;
    let sessions = (1..=8).map(|user| {
        let mut session = client.session();
        tokio::spawn(async move {
            let user = UserId(100 + user);
            for turn in ["1", "2", "3"] {
                let updated = session.rate(user, TOY_STORY, rating(turn)).await.unwrap();
                let seen = session.view(user, TOY_STORY).await.unwrap().unwrap();
                assert_eq!((seen.rating, seen.update), (rating(turn), Some(updated.id)));
            }
        })
    });
    for session in sessions.collect::<Vec<_>>() {
        session.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_front_ends_is_said() {
    let cluster = Cluster::builder().replicas(1).front_ends(0).start();
    let cluster = cluster.unwrap();
    let source = Source::Registry(cluster.registry().parse().unwrap());
    let patience = Duration::from_millis(200);
    let error = Client::connect_within(&Environment::real(), source, patience)
        .await
        .unwrap_err();
    let expected = format!(
        "no front end is registered at {}; start one with backfence-frontend",
        cluster.registry()
    );
    assert_eq!(error.to_string(), expected);
}

/// A front end of its own, which ends with the token.
async fn front_end(registry: &Address, name: Option<&str>) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let config = backfence_frontend::Config {
        registry: registry.clone(),
        name: name.map(|name| Name::new(name).unwrap()),
        advertise: None,
        cluster_key: None,
        accept_keyless: false,
    };
    let listener = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let running = backfence_frontend::run(listener, config, Environment::real(), shutdown.clone());
    tokio::spawn(running);
    shutdown
}

/// Without a name each takes the next, and a client uses one of any name. It waits for the
/// first, as for that of a registry that has just started.
#[tokio::test(flavor = "multi_thread")]
async fn front_ends_take_names_and_all_are_found() {
    let cluster = Cluster::builder().replicas(1).front_ends(0).start();
    let cluster = cluster.unwrap();
    let registry: Address = cluster.registry().parse().unwrap();
    let connecting = {
        let source = Source::Registry(registry.clone());
        tokio::spawn(async move { Client::connect(&Environment::real(), source).await })
    };
    let mut names = Discovery::new(&Environment::real(), registry.clone()).watch("");
    let mut front_ends = Vec::new();
    for (given, taken) in [
        (Some("EDGE1"), "EDGE1"),
        (None, "FRONTEND"),
        (None, "FRONTEND2"),
    ] {
        front_ends.push(front_end(&registry, given).await);
        let is_there = |name: &Name| name.as_str() == taken;
        let there = names.wait_for(|names| names.keys().any(is_there)).await;
        assert_eq!(there.unwrap().len(), front_ends.len() + 1, "{taken}");
    }
    let client = connecting.await.unwrap().unwrap();
    front_ends.drain(1..).for_each(|stopped| stopped.cancel());
    names.wait_for(|names| names.len() == 2).await.unwrap();
    for client in [client, self::client(&cluster).await] {
        let client = client.with_limit(Duration::from_secs(20));
        assert!(client.session().view(USER, TOY_STORY).await.is_ok());
    }
}
