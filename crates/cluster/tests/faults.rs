//! Programs are killed, halted, restarted and added while clients go on.

// The harness sends signals.
#![cfg(unix)]

mod support;

use backfence_client::{Error, Session};
use backfence_cluster::{Cluster, Role};
use support::{change, client, converged, drained, online, rate, session, until, view};
use tokio::task::JoinSet;

/// Views until told to end, and tells how many there were.
async fn keep_viewing(
    mut session: Session,
    user: u32,
    mut end: tokio::sync::watch::Receiver<bool>,
) -> Result<(Session, u32), Error> {
    let mut views = 0;
    while !*end.borrow_and_update() {
        assert_eq!(view(&mut session, user).await?, "2.5");
        views += 1;
    }
    Ok((session, views))
}

/// How often the front end found that a server fails.
fn skipped(cluster: &Cluster, server: &str) -> usize {
    let log = cluster.log(Role::FrontEnd(1));
    let line = |line: &&str| line.contains("skipping") && line.contains(server);
    log.lines().filter(line).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_under_load_fails_nobody_whose_past_others_hold() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut watcher = session(&cluster, 3).await;
    let shared = client(&cluster, &[1]).await;
    let (end, ended) = tokio::sync::watch::channel(false);
    let mut sessions = Vec::new();
    for user in 100..108 {
        let mut session = shared.session();
        rate(&mut session, user, "2.5").await.expect("it is taken");
        sessions.push((session, user));
    }
    converged(&mut watcher, 3).await;
    let mut viewing = JoinSet::new();
    for (session, user) in sessions {
        viewing.spawn(keep_viewing(session, user, ended.clone()));
    }
    let before = skipped(&cluster, "SERVER1");
    cluster.kill(Role::Replica(1)).expect("it is killed");
    let gone = async |session: &mut Session| {
        let servers = session.status().await.ok()?;
        servers[0].state.is_none().then_some(())
    };
    until("server 1 is gone", &mut watcher, gone).await;
    end.send(true).expect("they still view");
    while let Some(viewed) = viewing.join_next().await {
        let (mut session, views) = viewed.expect("no panic").expect("no view failed");
        assert!(views > 0);
        assert_ne!(rate(&mut session, 9, "1").await.expect("it is taken"), 1);
    }
    // Requests that are under way together fail together; later ones go elsewhere.
    let failures = skipped(&cluster, "SERVER1") - before;
    assert!(failures <= 1, "server 1 was found dead {failures} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn b16_b18_b19_a_restarted_replica_catches_up_and_is_used_again() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    assert_eq!(rate(&mut session, 1, "1.5").await, Ok(1));
    converged(&mut session, 3).await;
    cluster.kill(Role::Replica(1)).expect("it is killed");
    for stars in ["0.5", "1.0", "2.0"] {
        assert_ne!(
            rate(&mut session, 1, stars).await.expect("others take it"),
            1
        );
        assert_eq!(view(&mut session, 1).await.as_deref(), Ok(stars));
    }
    cluster.restart(Role::Replica(1)).expect("it comes back");
    online(&mut session, 3).await;
    converged(&mut session, 3).await;
    let used = async |session: &mut Session| {
        let server = rate(session, 1, "3.5").await.expect("it is taken");
        (server == 1).then_some(())
    };
    until("server 1 is used again", &mut session, used).await;
    change(&mut session, &[2, 3]).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("3.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_past_that_only_a_dead_server_held_is_named() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    for peer in [2, 3] {
        cluster.kill(Role::Replica(peer)).expect("it is killed");
    }
    assert_eq!(rate(&mut session, 1, "1.5").await, Ok(1));
    let life = until("server 1 says who it is", &mut session, async |session| {
        Some(session.status().await.ok()?[0].state.as_ref()?.id)
    })
    .await;
    cluster.kill(Role::Replica(1)).expect("it is killed");
    for peer in [2, 3] {
        cluster.restart(Role::Replica(peer)).expect("it comes back");
    }
    let error = until(
        "servers 2 and 3 answer",
        &mut session,
        async |session| match view(session, 1).await {
            Ok(stale) => panic!("a stale answer: {stale}"),
            Err(Error::AllBusy | Error::OutOfTime { .. }) => None,
            Err(error) => Some(error),
        },
    )
    .await;
    let expected = Error::Behind {
        server: 1,
        incarnation: life.incarnation,
        number: 1,
    };
    assert_eq!(error, expected);
    // Whoever does not depend on it is served.
    let mut other = client(&cluster, &[1]).await.session();
    assert_eq!(view(&mut other, 1).await.as_deref(), Ok("4.0"));
    assert_ne!(rate(&mut other, 1, "5").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_replica_is_passed_over_and_catches_up() {
    let cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    rate(&mut session, 1, "0.5").await.expect("it is taken");
    converged(&mut session, 3).await;
    cluster.stop(Role::Replica(1)).expect("it halts");
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("0.5"));
    assert_ne!(
        rate(&mut session, 1, "4.5").await.expect("others take it"),
        1
    );
    cluster.cont(Role::Replica(1)).expect("it goes on");
    online(&mut session, 3).await;
    converged(&mut session, 3).await;
    change(&mut session, &[2, 3]).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("4.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_catches_up_also_when_the_log_is_gone() {
    let mut cluster = Cluster::builder().replicas(2).start().expect("a cluster");
    let mut session = session(&cluster, 2).await;
    for user in 1..20 {
        rate(&mut session, user, "1.5").await.expect("it is taken");
    }
    drained(&mut session, 2).await;
    assert_eq!(cluster.add_replica().expect("one more"), 3);
    online(&mut session, 3).await;
    converged(&mut session, 3).await;
    change(&mut session, &[1, 2]).await;
    for user in 1..20 {
        assert_eq!(view(&mut session, user).await.as_deref(), Ok("1.5"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_may_go_and_come_back() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    cluster.kill(Role::Registry).expect("it is killed");
    for stars in ["0.5", "1.0", "1.5"] {
        rate(&mut session, 1, stars).await.expect("it is taken");
        assert_eq!(view(&mut session, 1).await.as_deref(), Ok(stars));
    }
    cluster.restart(Role::Registry).expect("it comes back");
    let registry = cluster.address(Role::Registry).parse().expect("an address");
    let environment = backfence_process::Environment::real();
    let discovery = backfence_process::Discovery::new(&environment, registry);
    until("all have registered again", &mut session, async |_| {
        let names: Vec<_> = discovery.list("").await.ok()?.into_keys().collect();
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        (names == ["FRONTEND", "SERVER1", "SERVER2", "SERVER3"]).then_some(())
    })
    .await;
    cluster.add_replica().expect("one more");
    online(&mut session, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_moves_between_front_ends() {
    let mut cluster = Cluster::builder().front_ends(2).start().expect("a cluster");
    let (one, two) = (client(&cluster, &[1]).await, client(&cluster, &[2]).await);
    let mut session = one.session();
    for (n, front_end) in [&two, &one, &two, &one].into_iter().enumerate() {
        let stars = format!("{n}.5");
        rate(&mut session, 1, &stars).await.expect("it is taken");
        session = front_end.resume(session.save());
        assert_eq!(view(&mut session, 1).await, Ok(stars));
    }
    // By itself as well, when one goes.
    let mut session = client(&cluster, &[1, 2]).await.resume(session.save());
    cluster.kill(Role::FrontEnd(1)).expect("it is killed");
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("3.5"));
    cluster.kill(Role::FrontEnd(2)).expect("it is killed");
    let error = view(&mut session, 1)
        .await
        .expect_err("there is no front end");
    assert!(
        matches!(error, Error::Unreachable { .. } | Error::OutOfTime { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_every_program_with_0() {
    let mut cluster = Cluster::builder().replicas(1).start().expect("a cluster");
    for role in [Role::FrontEnd(1), Role::Replica(1), Role::Registry] {
        assert_eq!(cluster.terminate(role).expect("it ends"), Some(0), "{role}");
    }
}
