//! A cluster whose programs prove to each other that they have its key.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::path::Path;

use backfence_cluster::{Cluster, Role};
use support::{converged, online, rate, session, view};

/// Starts with the key in this file; with none where there is no file.
fn with_key(file: Option<&Path>) -> impl FnOnce(&mut Vec<String>) {
    let file = file.map(|file| file.display().to_string());
    move |args| {
        let at = args.iter().position(|arg| arg == "--cluster-key");
        let at = at.expect("it is given");
        match file {
            Some(file) => args[at + 1] = file,
            None => drop(args.drain(at..at + 2)),
        }
    }
}

/// Everything works with proofs; a server with another key, or with none, is kept out by the
/// registry, and where that has no key by the others. Each side says why.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_key_or_none_is_told_apart() {
    let cluster = Cluster::builder().keyed(true).data_dirs(true).start();
    let mut cluster = cluster.expect("a cluster");
    let mut here = session(&cluster, 3).await;
    rate(&mut here, 5, "1.5").await.expect("it is taken");
    converged(&mut here, 3).await;

    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.key");
    std::fs::write(&other, [9; 32]).expect("a key");
    let stray = Role::Replica(4);
    for key in [Some(other.as_path()), None] {
        let refused = cluster.restart_with(stray, with_key(key));
        let refused = refused
            .expect_err("it has no right to the name")
            .to_string();
        assert!(
            refused.contains("the registry has a cluster key"),
            "{refused}"
        );
    }

    cluster.kill(Role::Registry).expect("it is killed");
    let without_key = with_key(None);
    cluster
        .restart_with(Role::Registry, without_key)
        .expect("it comes back");
    online(&mut here, 3).await;
    cluster
        .restart_with(stray, with_key(Some(&other)))
        .expect("it starts, alone");
    for role in [stray, Role::Replica(1), Role::FrontEnd(1)] {
        let said = ["does not prove", "--cluster-key FILE"];
        cluster.wait_for_log(role, &said).expect("it says so");
    }
    cluster.terminate(stray).expect("it is stopped");
    cluster
        .restart_with(stray, with_key(None))
        .expect("it starts, alone");
    for role in [stray, Role::Replica(1), Role::FrontEnd(1)] {
        let said = ["cluster key, and", "has none", "--cluster-key FILE"];
        cluster.wait_for_log(role, &said).expect("it says so");
    }
    rate(&mut here, 5, "4.5").await.expect("it is taken");
    assert_eq!(view(&mut here, 5).await.expect("it is seen"), "4.5");
    cluster.kill(Role::Replica(2)).expect("it is killed");
    cluster.restart(Role::Replica(2)).expect("it comes back");
    rate(&mut here, 5, "3.5").await.expect("it is taken");
    assert_eq!(view(&mut here, 5).await.expect("it is seen"), "3.5");
}

/// From no key to one, program by program: sessions do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_given_its_key_one_by_one() {
    let cluster = Cluster::builder().data_dirs(true).start();
    let mut cluster = cluster.expect("a cluster");
    let mut here = session(&cluster, 3).await;
    let key = cluster.key().display().to_string();
    let accepting = |args: &mut Vec<String>| {
        args.extend([
            "--cluster-key".into(),
            key.clone(),
            "--accept-keyless".into(),
        ]);
    };
    let strict = |args: &mut Vec<String>| args.extend(["--cluster-key".into(), key.clone()]);
    let mut turn = 0;
    let replicas = [1, 2, 3].map(Role::Replica);
    for role in [Role::Registry].into_iter().chain(replicas) {
        cluster.terminate(role).expect("it is stopped");
        cluster
            .restart_with(role, accepting)
            .expect("it comes back");
        online(&mut here, 3).await;
        turn += 1;
        let value = format!("{turn}.5");
        rate(&mut here, 5, &value).await.expect("it is taken");
        converged(&mut here, 3).await;
    }
    for role in [Role::Registry].into_iter().chain(replicas) {
        cluster.terminate(role).expect("it is stopped");
        cluster.restart_with(role, strict).expect("it comes back");
        online(&mut here, 3).await;
        rate(&mut here, 5, "2.0").await.expect("it is taken");
        converged(&mut here, 3).await;
    }
}
