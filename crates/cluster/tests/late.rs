//! What is settled is forgotten, and what comes later than that is refused.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::{path::Path, sync::Arc, time::Duration};

use backfence_client::{Error, Prepared, Session, UserId};
use backfence_cluster::{Cluster, Role, write_small_data};
use backfence_ratings::Base;
use backfence_store::Store;
use support::{TOY_STORY, UNRATED, change, rate, session, stars, taken, until, view};

const REPLICAS: [Role; 3] = [Role::Replica(1), Role::Replica(2), Role::Replica(3)];
const USER: UserId = UserId(9);

fn cluster(data: &Path) -> Cluster {
    write_small_data(data, "Last").expect("the data are written");
    Cluster::builder()
        .data(data)
        .data_dirs(true)
        .gossip_interval("100ms")
        .late("2s")
        .start()
        .expect("a cluster")
}

/// Waits until each server refuses the update, which it had taken.
async fn refused_everywhere(session: &mut Session, update: &Prepared) {
    let update_id = update.id;
    for server in 1..=3 {
        let others: Vec<u32> = (1..=3).filter(|&other| other != server).collect();
        change(session, &others).await;
        until(
            "a retry is refused",
            session,
            async |session| match session.send(update).await {
                Ok(updated) => {
                    assert_eq!(updated.server, server);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    None
                }
                Err(error) => {
                    assert_eq!(error, Error::TooLate { update_id });
                    Some(())
                }
            },
        )
        .await;
        change(session, &others).await;
    }
}

/// Waits until all have the same value, of so many writes.
async fn equal(session: &mut Session, writes: u64) {
    until("the digests are equal", session, async |session| {
        let digests = session.digest().await.ok()?;
        let all: Option<Vec<_>> = digests.into_values().collect();
        let all = all.filter(|all| all.len() == 3)?;
        let same = all.iter().all(|value| value.digest == all[0].digest);
        (same && all[0].writes == writes).then_some(())
    })
    .await;
}

/// How many sessions, and how many last writes, the servers have on disk. They do not run.
fn stored(cluster: &Cluster, data: &Path) -> (usize, usize) {
    let loaded = Base::load(&data.join("movies.csv"), &data.join("ratings.csv"), true);
    let base = Arc::new(loaded.expect("the data are good").base);
    let of = |server| {
        let directory = cluster.data_dir(server).expect("it has one");
        let opened = Store::open(&directory, server, base.clone());
        let (_, recovered) = opened.expect("it is not in use");
        let state = recovered.state.expect("there was a checkpoint");
        (state.executed.len(), state.value.cells().count())
    };
    let add = |sum: (usize, usize), of: (usize, usize)| (sum.0 + of.0, sum.1 + of.1);
    (1..=3).map(of).fold((0, 0), add)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_is_forgotten_and_a_later_retry_is_refused() {
    let data = tempfile::tempdir().expect("a folder");
    let mut cluster = cluster(data.path());
    let mut writer = session(&cluster, 3).await;
    let prepared = writer.prepare(USER, TOY_STORY, Some(stars("1.5"))).await;
    let prepared = prepared.expect("it learns the time");
    writer.send(&prepared).await.expect("it is taken");
    // A deletion over a loaded rating, and one over nothing.
    let loaded = UserId(1);
    for (user, movie, rating) in [
        (loaded, TOY_STORY, None),
        (USER, UNRATED, Some(stars("2.0"))),
        (USER, UNRATED, None),
    ] {
        let taken = taken(&mut writer, user, movie, rating);
        taken.await.expect("it is taken");
    }
    refused_everywhere(&mut writer, &prepared).await;

    // It has no effect: neither over what came later, nor anywhere.
    rate(&mut writer, USER.0, "5.0").await.expect("it is taken");
    let again = writer.send(&prepared).await;
    let update_id = prepared.id;
    assert_eq!(again, Err(Error::TooLate { update_id }));
    equal(&mut writer, 2).await;

    let mut left = (0, 0);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        for role in REPLICAS {
            assert_eq!(cluster.terminate(role).expect("it ends"), Some(0));
        }
        left = stored(&cluster, data.path());
        cluster.restart_all(&REPLICAS).expect("they come back");
        if left == (0, 3 * 2) {
            break;
        }
    }
    assert_eq!(left, (0, 3 * 2), "sessions and last writes on disk");

    let mut reader = session(&cluster, 3).await;
    equal(&mut reader, 2).await;
    assert_eq!(view(&mut reader, USER.0).await.as_deref(), Ok("5.0"));
    assert_eq!(view(&mut reader, loaded.0).await.as_deref(), Ok(""));
    let unrated = reader.view(USER, UNRATED).await.expect("an answer");
    assert_eq!(unrated, None);
    // What the session has seen is there, and it goes on.
    assert_eq!(view(&mut writer, USER.0).await.as_deref(), Ok("5.0"));
    refused_everywhere(&mut writer, &prepared).await;
    rate(&mut writer, USER.0, "3.0").await.expect("it is taken");
}
