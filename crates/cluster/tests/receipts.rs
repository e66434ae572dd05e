//! Updates that several servers are to have, and those that only one has.

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use backfence_client::{Client, Error, Session, UserId};
use backfence_cluster::{Cluster, Role};
use support::{PATIENCE, TOY_STORY, client, online, stars, until, view};

const USER: UserId = UserId(1);

async fn rate(client: &Client, rating: &str) -> Result<Vec<u32>, Error> {
    let mut session = client.session();
    let updated = session.rate(USER, TOY_STORY, stars(rating)).await?;
    Ok(updated.servers)
}

/// Of the servers that answer.
async fn at_risk(session: &mut Session) -> Result<BTreeMap<u32, u64>, Error> {
    let servers = session.at_risk(10).await?.into_iter();
    let total = servers.filter_map(|(server, updates)| Some((server, updates?.total)));
    Ok(total.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_waits_for_its_copies() {
    let cluster = Cluster::builder().front_ends(2).data_dirs(true).start();
    let mut cluster = cluster.expect("a cluster");
    let client = client(&cluster, &[1, 2]).await;
    let patient = client.clone().with_limit(Duration::from_secs(20));
    let mut session = client.session();
    online(&mut session, 3).await;

    let three = rate(&patient.clone().with_copies(3), "3").await;
    assert_eq!(three.expect("three have it"), [1, 2, 3]);
    let two = rate(&patient.clone().with_copies(2), "2").await;
    assert!(
        two.as_ref().is_ok_and(|servers| servers.len() >= 2),
        "{two:?}"
    );
    until("nothing is at risk", &mut session, async |session| {
        let at_risk = at_risk(session).await.ok()?;
        (at_risk == BTreeMap::from([(1, 0), (2, 0), (3, 0)])).then_some(())
    })
    .await;

    for server in [2, 3] {
        cluster.kill(Role::Replica(server)).expect("it runs");
    }
    let mut writer = client.clone().with_copies(2).session();
    let prepared = writer.prepare(USER, TOY_STORY, Some(stars("1.5"))).await;
    let prepared = prepared.expect("the session has begun");
    let alone = Error::CopiesNotMet {
        update_id: prepared.id,
        copies: 2,
        servers: vec![1],
    };
    assert_eq!(writer.send(&prepared).await.expect_err("one has it"), alone);
    // It is taken, and its session knows.
    assert_eq!(view(&mut writer, 1).await.as_deref(), Ok("1.5"));
    until("server 1 alone has one", &mut session, async |session| {
        (at_risk(session).await.ok()?.get(&1) == Some(&1)).then_some(())
    })
    .await;
    // To send it again waits again, and is the same update.
    assert_eq!(writer.send(&prepared).await.expect_err("one has it"), alone);

    let saved = writer.save();
    cluster.restart(Role::Replica(3)).expect("it starts again");
    let mut writer = patient.with_copies(2).resume(saved);
    let updated = writer.send(&prepared).await.expect("two have it");
    assert_eq!(updated.servers, [1, 3]);
    until("nothing is at risk", &mut session, async |session| {
        let at_risk = at_risk(session).await.ok()?;
        at_risk.values().all(|&total| total == 0).then_some(())
    })
    .await;
}

/// Whoever is named has answered within the last second, also where the update is an old
/// one: a server that is halted may never come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_halted_is_named_no_more() {
    let cluster = Cluster::builder().start().expect("a cluster");
    let client = client(&cluster, &[1]).await;
    online(&mut client.session(), 3).await;
    let patient = client.clone().with_limit(PATIENCE).with_copies(3);
    let mut writer = patient.session();
    let prepared = writer.prepare(USER, TOY_STORY, Some(stars("2.5"))).await;
    let prepared = prepared.expect("the session begins");
    let updated = writer.send(&prepared).await.expect("three have it");
    assert_eq!(updated.servers, [1, 2, 3]);

    cluster.stop(Role::Replica(3)).expect("it runs");
    let halted = Instant::now();
    let mut hasty = client.with_copies(3).resume(writer.save());
    loop {
        let asked = Instant::now();
        let silent = asked - halted;
        match hasty.send(&prepared).await {
            Ok(updated) => assert!(silent <= Duration::from_secs(1), "{updated:?}, {silent:?}"),
            Err(Error::CopiesNotMet { servers, .. }) => {
                assert!(!servers.contains(&3), "{servers:?}");
                break;
            }
            Err(error) => assert!(silent < PATIENCE, "{error}"),
        }
    }
    cluster.cont(Role::Replica(3)).expect("it runs");
    let updated = writer.send(&prepared).await.expect("three have it");
    assert_eq!(updated.servers, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_there_are_servers_are_refused_at_once() {
    let cluster = Cluster::builder().start().expect("a cluster");
    let client = client(&cluster, &[1]).await;
    let mut session = client.session();
    online(&mut session, 3).await;
    let hour = Duration::from_secs(3600);
    let refused = rate(&client.with_limit(hour).with_copies(4), "1").await;
    let expected = Error::Invalid(
        "copies: 4 servers are to have the update, and the cluster has 3; ask for no more, or \
         start others"
            .to_owned(),
    );
    assert_eq!(refused, Err(expected));
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("4.0"));
}
