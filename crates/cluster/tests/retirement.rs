//! Servers that are not coming back are retired by hand: the others forget what they
//! waited for, and nobody waits for what is lost.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::{collections::BTreeSet, time::Duration};

use backfence_client::{Error, Membership, Server, ServerStatus, Session};
use backfence_cluster::{Cluster, Role};
use support::{change, client, converged, drained, ends, rate, run, session, told, until, view};

const GONE: Role = Role::Replica(3);
const OTHERS: [Role; 2] = [Role::Replica(1), Role::Replica(2)];
/// Two servers that do not answer may come before the third one.
const LIMIT: Duration = Duration::from_secs(20);

/// A session with an update that only server 3 had: the others are halted until it
/// gossips with neither, and it is gone before they go on.
async fn lose_an_update(cluster: &mut Cluster) -> Session {
    let mut session = client(cluster, &[1]).await.with_limit(LIMIT).session();
    change(&mut session, &[1, 2]).await;
    assert_eq!(rate(&mut session, 1, "1.0").await, Ok(3));
    drained(&mut session, 3).await;
    for role in OTHERS {
        cluster.stop(role).expect("it is halted");
    }
    for server in ["1", "2"] {
        let away = format!("server {server} is down");
        until("server 3 gives the others up", &mut session, async |_| {
            let looked_at = told(cluster, &["--timeout", "20s", "retire", server]);
            looked_at.stderr.contains(&away).then_some(())
        })
        .await;
    }
    assert_eq!(rate(&mut session, 1, "2.0").await, Ok(3));
    cluster.kill(GONE).expect("it is killed");
    for role in OTHERS {
        cluster.cont(role).expect("it goes on");
    }
    let mut operator = client(cluster, &[1]).await.session();
    until("the others answer", &mut operator, async |session| {
        let servers = session.status().await.ok()?;
        let offline = |server: &&Server| server.status == ServerStatus::Offline;
        (servers.iter().filter(offline).count() == 2).then_some(())
    })
    .await;
    change(&mut operator, &[1, 2]).await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_retired_and_nobody_waits_for_it() {
    let mut cluster = Cluster::builder()
        .data_dirs(true)
        .start()
        .expect("a cluster");
    session(&cluster, 3).await;
    let mut past = lose_an_update(&mut cluster).await;
    let mut other = client(&cluster, &[1]).await.session();
    until("an update is taken", &mut other, async |session| {
        rate(session, 2, "3.0").await.ok()
    })
    .await;
    assert!(
        matches!(
            view(&mut past, 1).await,
            Err(Error::Behind {
                server: 3,
                number: 2,
                ..
            })
        ),
        "its past is nowhere"
    );
    until("it holds something back", &mut other, async |session| {
        let members = session.members().await.ok()?;
        let gone = members.into_iter().find(|member| member.id.server == 3)?;
        let away = Membership::Remains(ServerStatus::Unreachable);
        (gone.membership == away && gone.holds_back > 0).then_some(())
    })
    .await;

    // Until its link has ended it counts as running.
    until("it is known to be away", &mut other, async |_| {
        let refused = told(&cluster, &["retire", "3"]);
        refused.stderr.contains("NEEDS_FORCE").then(|| {
            let known = "Others have its updates up to 1";
            ends(
                &refused,
                4,
                &["server 3 is down", known, "would be lost", "--force"],
            );
        })
    })
    .await;
    let done = told(&cluster, &["retire", "3", "--force"]);
    ends(&done, 0, &[]);
    assert!(done.stdout.contains("Server 3 is retired"), "{done:?}");
    // It was on disk before that was said.
    for role in OTHERS {
        cluster.kill(role).expect("it is killed");
    }
    cluster.restart_all(&OTHERS).expect("they come back");

    drained(&mut other, 2).await;
    let seen = until("its past is given up", &mut past, async |session| {
        view(session, 1).await.ok()
    })
    .await;
    assert_eq!(seen, "1.0");
    assert_eq!(past.take_losses(), BTreeSet::from([3]));
    rate(&mut past, 1, "4.5").await.expect("it goes on");
    assert_eq!(view(&mut past, 1).await.as_deref(), Ok("4.5"));
    assert_eq!(past.take_losses(), BTreeSet::new());

    let again = told(&cluster, &["retire", "3"]);
    ends(&again, 0, &[]);
    assert!(again.stdout.contains("retired before"), "{again:?}");
    let members = other.members().await.expect("they are listed");
    let lives = members.iter().filter(|member| member.id.server == 3);
    let retired = lives.map(|member| (member.membership, member.holds_back));
    assert_eq!(retired.collect::<Vec<_>>(), [(Membership::Retired, 0)]);
    let finished = run("backfence-replica", &cluster.arguments(GONE));
    ends(
        &finished,
        4,
        &["server 3 was retired for good", "another --server"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_is_to_be_stopped_first() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    rate(&mut session, 1, "1.0").await.expect("it is taken");
    converged(&mut session, 3).await;
    let refused = |server: &str, code: i32, texts: &[&str]| {
        ends(&told(&cluster, &["retire", server]), code, texts);
    };
    refused(
        "3",
        4,
        &["STILL_RUNNING", "server 3 gossips with server 1", "SIGTERM"],
    );
    refused("1", 4, &["STILL_RUNNING", "server 1 gossips with server 2"]);
    refused("9", 3, &["there is no server 9", "1, 2, 3"]);

    // By force it hears of it, and ends.
    ends(&told(&cluster, &["retire", "3", "--force"]), 0, &[]);
    assert_eq!(cluster.wait_for_end(GONE).expect("it ends"), Some(4));
    assert!(
        cluster.log(GONE).contains("server 3 was retired for good"),
        "{}",
        cluster.log(GONE)
    );
    drained(&mut session, 2).await;
    // One that was stopped has handed over what it had.
    rate(&mut session, 1, "2.0").await.expect("it is taken");
    assert_eq!(cluster.terminate(OTHERS[0]).expect("it ends"), Some(0));
    ends(&told(&cluster, &["retire", "1", "--force"]), 0, &[]);
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("2.0"));
    drained(&mut session, 1).await;
    ends(
        &told(&cluster, &["retire", "2", "--force"]),
        4,
        &["cannot retire itself"],
    );
}

/// Nobody is there to say so: its own disk does.
#[tokio::test(flavor = "multi_thread")]
async fn a_retired_server_does_not_start_alone() {
    let mut cluster = Cluster::builder()
        .data_dirs(true)
        .start()
        .expect("a cluster");
    let mut session = session(&cluster, 3).await;
    rate(&mut session, 1, "4.5").await.expect("it is taken");
    converged(&mut session, 3).await;
    ends(&told(&cluster, &["retire", "3", "--force"]), 0, &[]);
    assert_eq!(cluster.wait_for_end(GONE).expect("it ends"), Some(4));
    for role in OTHERS {
        cluster.kill(role).expect("it is killed");
    }
    let finished = run("backfence-replica", &cluster.arguments(GONE));
    let retired = "server 3 was retired for good";
    ends(&finished, 4, &[retired, "another --server"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_retired_is_given_to_nobody() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    cluster.kill(GONE).expect("it runs");
    ends(&told(&cluster, &["retire", "3", "--force"]), 0, &[]);
    let without_number = |args: &mut Vec<String>| {
        let flag = args.iter().position(|arg| arg == "--server");
        let flag = flag.expect("it is given");
        args.drain(flag..flag + 2);
    };
    // Nobody holds the name SERVER3, so it is the lowest that the registry has.
    cluster
        .restart_with(GONE, without_number)
        .expect("it takes another");
    let log = cluster.log(GONE);
    assert!(log.contains("this number was retired for good"), "{log}");
    until("there is a server 4 and no 3", &mut session, async |s| {
        let servers = s.status().await.ok()?;
        let numbers: Vec<_> = servers.iter().map(|server| server.server).collect();
        (numbers == [1, 2, 4]).then_some(())
    })
    .await;
}

/// Servers that run are retired one right after the other: the second order may come to
/// the first server, which is out, does not know it yet, and is heard by nobody any more.
#[tokio::test(flavor = "multi_thread")]
async fn no_retirement_is_lost_that_was_acknowledged() {
    let mut cluster = Cluster::builder()
        .data_dirs(true)
        .start()
        .expect("a cluster");
    session(&cluster, 3).await;
    let mut operator = client(&cluster, &[1]).await.with_limit(LIMIT).session();
    for server in 1..=3 {
        until(
            "each has a stream to both others",
            &mut operator,
            async |operator| {
                let peers = operator.gossip(server).await.ok()?;
                (peers.len() == 2).then_some(())
            },
        )
        .await;
    }
    let mut retired = Vec::new();
    for server in 1..=3 {
        match operator.retire(server, true).await {
            Ok(_) => retired.push(server),
            Err(Error::Refused { reason, .. }) if reason == "RETIRES_ITSELF" => {}
            Err(error) => println!("server {server}: {error}"),
        }
    }
    assert!(retired.contains(&1), "nobody stood in the way: {retired:?}");
    for server in retired {
        let role = Role::Replica(server);
        assert_eq!(cluster.wait_for_end(role).expect("it ends"), Some(4));
        let started = run("backfence-replica", &cluster.arguments(role));
        ends(&started, 4, &["was retired for good"]);
    }
}
