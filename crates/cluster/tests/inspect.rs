//! What an operator sees inside: digests of the values, logs, and gossip by hand.

// The harness sends signals.
#![cfg(unix)]

mod support;

use backfence_client::Server;
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
