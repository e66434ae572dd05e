//! Programs are killed, and disks are lost, brought back and replaced, under load:
//! nothing that was acknowledged is lost.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::{collections::BTreeSet, fs};

use backfence_client::{ReplicaId, Session};
use backfence_cluster::{Builder, Cluster, Role, write_small_data};
use support::{
    TOY_STORY, converged, ends,
    ledger::{Load, cycles, draw, registered, seed},
    online, rate, run, session, stars, until, view,
};

/// Sessions of a load.
const SESSIONS: u64 = 6;
const REPLICAS: [Role; 3] = [Role::Replica(1), Role::Replica(2), Role::Replica(3)];

/// What is killed at once: in the first cycles each of these, ...
const EACH: [&[Role]; 6] = [
    &[REPLICAS[0]],
    &REPLICAS,
    &[REPLICAS[1]],
    &[Role::FrontEnd(1)],
    &[REPLICAS[2]],
    &[Role::Registry],
];

/// ... then any.
fn victims(cycle: usize, random: &mut u64) -> Vec<Role> {
    let [one, two, three] = REPLICAS;
    match EACH.get(cycle) {
        Some(roles) => roles.to_vec(),
        None => [
            Role::Registry,
            one,
            two,
            three,
            Role::FrontEnd(1),
            Role::FrontEnd(2),
        ]
        .into_iter()
        .filter(|_| draw(random).is_multiple_of(2))
        .collect(),
    }
}

fn durable() -> Builder {
    Cluster::builder().data_dirs(true)
}

/// The lives that the servers live now.
async fn lives(session: &mut Session, replicas: usize) -> BTreeSet<ReplicaId> {
    let states = converged(session, replicas).await;
    states.into_iter().map(|state| state.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_killed_under_load() {
    let mut cluster = durable().front_ends(2).start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    let mut random = seed();
    for cycle in 0..cycles(EACH.len()) {
        load.acknowledged(10 + draw(&mut random) % 40).await;
        let killed = victims(cycle, &mut random);
        for &role in &killed {
            cluster.kill(role).expect("it is killed");
        }
        let others_serve = killed.len() == 1 && killed != [Role::Registry];
        if others_serve {
            load.acknowledged(10).await;
        }
        cluster.restart_all(&killed).expect("they come back");
        println!("cycle {cycle}: {killed:?} came back");
    }
    load.acknowledged(20).await;
    let ledger = load.end(&cluster, 3).await;
    println!("{} updates were acknowledged", ledger.len());
    let mut session = registered(&cluster).await.session();
    no_trace_of_crashes(&mut session, 3).await;
}

/// Waits until timestamps have an entry for the life of each server, and at most one for
/// all of its lives before.
async fn no_trace_of_crashes(session: &mut Session, replicas: usize) {
    until("lives that are over are folded", session, async |session| {
        let states = converged(session, replicas).await;
        let entries = states.iter().map(|state| state.value_ts.iter().count());
        (entries.max()? <= 2 * replicas).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_restored_from_an_old_copy_loses_nothing_and_reuses_no_number() {
    let mut cluster = durable().start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(40).await;
    cluster.kill(Role::Replica(1)).expect("it is killed");
    let old = cluster.back_up(1).expect("its disk is copied");
    cluster.restart(Role::Replica(1)).expect("it comes back");
    load.acknowledged(80).await;
    let ledger = load.end(&cluster, 3).await;
    let mut session = registered(&cluster).await.session();
    let before = lives(&mut session, 3).await;

    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(20).await;
    // What it alone had would be lost, so it leaves in peace.
    assert_eq!(
        cluster.terminate(Role::Replica(1)).expect("it ends"),
        Some(0)
    );
    cluster.restore(&old).expect("its old disk is put back");
    cluster.restart(Role::Replica(1)).expect("it comes back");
    load.acknowledged(80).await;
    let mut all = load.end(&cluster, 3).await;
    all.join(ledger);
    all.check(&cluster, 3).await;
    let after = lives(&mut session, 3).await;
    assert_eq!(
        before.intersection(&after).count(),
        2,
        "{before:?} {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_is_filled_again() {
    let mut cluster = durable().start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(40).await;
    assert_eq!(
        cluster.terminate(Role::Replica(2)).expect("it ends"),
        Some(0)
    );
    cluster.wipe(2).expect("its disk is wiped");
    load.acknowledged(40).await;
    cluster.restart(Role::Replica(2)).expect("it comes back");
    load.acknowledged(40).await;
    let ledger = load.end(&cluster, 3).await;
    // It has all on its own disk now.
    for role in REPLICAS {
        cluster.kill(role).expect("it is killed");
    }
    cluster.restart_all(&REPLICAS).expect("they come back");
    ledger.check(&cluster, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_replica_joins_under_load_and_all_restart() {
    let mut cluster = durable().start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(60).await;
    assert_eq!(cluster.add_replica().expect("one more"), 4);
    load.acknowledged(60).await;
    let ledger = load.end(&cluster, 4).await;
    let all: Vec<_> = (1..=4).map(Role::Replica).collect();
    for &role in &all {
        assert_eq!(cluster.terminate(role).expect("it ends"), Some(0));
    }
    cluster.restart_all(&all).expect("they come back");
    ledger.check(&cluster, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_and_a_front_end_restart_while_replicas_do() {
    let mut cluster = durable().front_ends(2).start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(20).await;
    cluster.kill(Role::Replica(3)).expect("it is killed");
    cluster.kill(Role::Registry).expect("it is killed");
    load.acknowledged(20).await;
    cluster.restart(Role::Registry).expect("it comes back");
    cluster.kill(Role::FrontEnd(1)).expect("it is killed");
    cluster.restart(Role::Replica(3)).expect("it comes back");
    load.acknowledged(20).await;
    assert_eq!(cluster.terminate(Role::Registry).expect("it ends"), Some(0));
    cluster.restart(Role::Registry).expect("it comes back");
    cluster.restart(Role::FrontEnd(1)).expect("it comes back");
    load.acknowledged(20).await;
    load.end(&cluster, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_stopped_goes_on_from_its_disks() {
    let mut cluster = durable().front_ends(1).start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(100).await;
    let ledger = load.end(&cluster, 3).await;
    let mut old = session(&cluster, 3).await;
    rate(&mut old, 5, "3.5").await.expect("it is taken");
    let saved = old.save();
    let all = [&[Role::FrontEnd(1)], REPLICAS.as_slice(), &[Role::Registry]].concat();
    for &role in &all {
        assert_eq!(cluster.terminate(role).expect("it ends"), Some(0), "{role}");
    }
    cluster.restart(Role::Registry).expect("it comes back");
    cluster.restart_all(&all[..4]).expect("they come back");
    ledger.check(&cluster, 3).await;
    let mut session = registered(&cluster).await.resume(saved);
    online(&mut session, 3).await;
    assert_eq!(view(&mut session, 5).await.as_deref(), Ok("3.5"));
    assert!(session.take_losses().is_empty());
    let base = session.view(backfence_client::UserId(1), TOY_STORY).await;
    assert_eq!(
        base.expect("it is answered").map(|seen| seen.rating),
        Some(stars("4.0"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_started_first_with_a_wiped_disk_finds_the_others_past() {
    let mut cluster = durable().start().expect("a cluster");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(60).await;
    let mut ledger = load.end(&cluster, 3).await;
    for role in REPLICAS.into_iter().chain([Role::Registry]) {
        cluster.kill(role).expect("it is killed");
    }
    cluster.wipe(1).expect("its disk is wiped");
    cluster.restart(Role::Registry).expect("it comes back");
    // It is the first, so it goes on as a cluster of its own until they meet.
    cluster.restart(REPLICAS[0]).expect("it comes back");
    let load = Load::start(&cluster, SESSIONS).await;
    load.acknowledged(40).await;
    cluster.restart_all(&REPLICAS[1..]).expect("they come back");
    load.acknowledged(40).await;
    ledger.join(load.end(&cluster, 3).await);
    ledger.check(&cluster, 3).await;
}

#[test]
fn a_directory_that_does_not_fit_is_refused() {
    let mut cluster = durable().start().expect("a cluster");
    let role = Role::Replica(1);
    let args = cluster.arguments(role);
    let refused = |args: &[String], texts: &[&str]| {
        ends(&run("backfence-replica", args), 4, texts);
    };
    let with = |flag: &str, value: &str| {
        let mut args = args.clone();
        let at = args
            .iter()
            .position(|arg| arg == flag)
            .expect("it is given");
        value.clone_into(&mut args[at + 1]);
        args
    };
    let directory = cluster.data_dir(1).expect("it keeps something");
    let name = directory.display().to_string();

    // While it runs: the same directory, and the same number.
    let in_use = [&name, "in use", "directory of its own"];
    refused(&with("--server", "4"), &in_use);
    refused(&args, &["SERVER1", "held by a living process"]);
    let other = format!("{name}-other");
    refused(
        &with("--data-dir", &other),
        &["SERVER1", "held by a living process", "stop that process"],
    );
    assert!(!std::path::Path::new(&other).exists(), "it is not made");

    cluster.kill(role).expect("it is killed");
    refused(
        &with("--server", "4"),
        &[&name, "server 1, not of server 4"],
    );
    let data = tempfile::tempdir().expect("a temporary folder");
    write_small_data(data.path(), "Another Movie").expect("it is written");
    let movies = data.path().join("movies.csv").display().to_string();
    refused(
        &with("--movies", &movies),
        &[&name, "fingerprint", "same files"],
    );

    let file = directory.join("replica.redb");
    let whole = fs::read(&file).expect("the file is there");
    let mut damaged = whole.clone();
    damaged[whole.len() / 64..].fill(0x5a);
    for bytes in [
        damaged.as_slice(),
        &whole[..whole.len() / 2],
        b"",
        b"movieId",
    ] {
        fs::write(&file, bytes).expect("it is written");
        refused(&args, &[&name, "damaged", "move it away"]);
    }
    fs::write(&file, whole).expect("it is written");
    cluster.restart(role).expect("none of that has harmed it");
}

/// Without a number a replica is the server of its directory; and all that it writes is in
/// there.
#[test]
fn a_directory_tells_its_server() {
    let mut cluster = durable().replicas(3).start().expect("a cluster");
    let role = Role::Replica(3);
    let without = |flags: &[&str], mut args: Vec<String>| {
        for flag in flags {
            let at = args.iter().position(|arg| arg == flag);
            let at = at.expect("it is given");
            args.drain(at..at + 2);
        }
        args
    };
    for killed in [Role::Replica(2), role] {
        cluster.kill(killed).expect("it is killed");
    }
    let restarted = cluster.restart_with(role, |args| {
        *args = without(&["--server", "--base-dir"], args.clone());
    });
    restarted.expect("it comes back");
    let log = cluster.log(role);
    assert!(log.contains("started replica=3@"), "{log}");
    let directory = cluster.data_dir(3).expect("it keeps something");
    assert!(directory.join("base").is_dir());

    // One that is refused leaves nothing.
    let other = directory.with_file_name("other");
    let name = other.display().to_string();
    let args = without(&["--data-dir", "--base-dir"], cluster.arguments(role));
    let args = [args.as_slice(), &["--data-dir".to_owned(), name]].concat();
    ends(
        &run("backfence-replica", &args),
        4,
        &["SERVER3", "stop that process"],
    );
    assert!(!other.exists(), "it is not made");
}
