//! What an operator sees inside: digests of the values, logs, and gossip by hand.

// The harness sends signals.
#![cfg(unix)]

mod support;

use backfence_client::{Server, ServerStatus};
use backfence_cluster::{Cluster, Role};
use support::{ends, rate, session, told, until};

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_digests_tell_who_lacks_something() {
    let mut cluster = Cluster::builder().gossip_interval("1h").start().unwrap();
    let mut session = session(&cluster, 3).await;
    let away = Role::Replica(3);
    cluster.stop(away).expect("it is halted");
    assert_eq!(rate(&mut session, 1, "4.5").await, Ok(1));
    let log = session.log(1, 10).await.expect("server 1 answers");
    let record = &log.records[0];
    assert_eq!((log.total, record.number, record.waiting), (1, 1, false));
    assert_eq!(record.origin.server, 1);
    assert_eq!(record.update.movie.0, 1);
    // Server 2 has been told, if not yet; of server 3 nothing is heard.
    until("the two digests are equal", &mut session, async |session| {
        let digests = session.digest().await.ok()?;
        let digest = |server| digests.get(&server)?.as_ref().map(|value| value.digest);
        (digest(1) == digest(2) && digest(3).is_none()).then_some(())
    })
    .await;
    cluster.cont(away).expect("it goes on");
    // Nobody gossips by itself for an hour.
    until("the logs are empty", &mut session, async |session| {
        for server in 1..=3 {
            let peers = session.gossip(server).await.ok()?;
            assert!(peers.iter().all(|peer| peer.server != server));
        }
        let servers = session.status().await.ok()?;
        let empty = |server: &Server| {
            server
                .state
                .as_ref()
                .is_some_and(|state| state.log_len == 0)
        };
        (servers.len() == 3 && servers.iter().all(empty)).then_some(())
    })
    .await;
    let digest = told(&cluster, &["digest"]);
    ends(&digest, 0, &[]);
    assert!(
        digest.stdout.contains("All servers hold the same"),
        "{digest:?}"
    );
    let log = told(&cluster, &["log", "3"]);
    assert!(
        log.stdout.contains("The log of server 3 is empty"),
        "{log:?}"
    );
    ends(
        &told(&cluster, &["gossip", "9"]),
        3,
        &["there is no server 9", "1, 2, 3"],
    );
    cluster.kill(away).expect("it is killed");
}

/// The code of a command, and what it says.
fn says(cluster: &Cluster, words: &[&str], code: i32, texts: &[&str]) {
    let finished = told(cluster, words);
    assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
    let said = format!("{}{}", finished.stdout, finished.stderr);
    for text in texts {
        assert!(said.contains(text), "no {text:?} in {words:?}: {said}");
    }
}

/// A server that is dead is seen to be, until it is retired: also when the registry has
/// forgotten it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_stays_in_sight_until_it_is_retired() {
    let mut cluster = Cluster::builder().start().unwrap();
    let mut session = session(&cluster, 3).await;
    rate(&mut session, 1, "4.5").await.expect("it is taken");
    until(
        "server 3 has reported that",
        &mut session,
        async |session| {
            let members = session.members().await.ok()?;
            let third = members.iter().find(|member| member.id.server == 3)?;
            (third.reported.as_ref()?.iter().count() == 1).then_some(())
        },
    )
    .await;
    says(&cluster, &["health"], 0, &["All servers are online"]);
    cluster.kill(Role::Replica(3)).expect("it is killed");
    for rating in ["1", "2"] {
        rate(&mut session, 1, rating).await.expect("it is taken");
    }
    let third = until(
        "it is gone from the registry",
        &mut session,
        async |session| {
            let servers = session.status().await.ok()?;
            let third = servers.into_iter().find(|server| server.server == 3)?;
            third.gone_since.is_some().then_some(third)
        },
    )
    .await;
    assert_eq!(third.status, ServerStatus::Unreachable);
    assert_ne!(third.address, "");
    let behind = "Server 3 is unreachable since 20";
    says(
        &cluster,
        &["health"],
        5,
        &[behind, ", 2 updates behind; start it again"],
    );
    says(
        &cluster,
        &["--json", "status"],
        0,
        &[r#""lag":2"#, r#""status":"unreachable""#],
    );
    says(&cluster, &["digest"], 5, &["Server 3 did not answer"]);
    says(&cluster, &["change", "3"], 5, &["server 3 is down"]);
    says(&cluster, &["log", "3"], 5, &["server 3 is down"]);
    says(&cluster, &["at-risk"], 0, &["Server 3 does not answer"]);
    says(&cluster, &["change", "9"], 3, &["there is no server 9"]);
    says(&cluster, &["retire", "3", "--force"], 0, &[]);
    says(&cluster, &["health"], 0, &["All servers are online"]);
    says(&cluster, &["digest"], 0, &["All servers hold the same"]);
}
