//! Sessions with real servers, whose front ends come and go.

#![cfg(unix)]

use std::time::Duration;

use backfence_client::{Client, MovieId, Rating, Source, UserId};
use backfence_cluster::{Cluster, Role};
use backfence_process::Environment;

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
    let error = Client::connect(&Environment::real(), source)
        .await
        .unwrap_err();
    let expected = format!(
        "no front end is registered at {}; start one with backfence-frontend",
        cluster.registry()
    );
    assert_eq!(error.to_string(), expected);
}
