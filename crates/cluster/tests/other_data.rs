//! Servers that were started from other movies, ratings or tags than the rest.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::{fs, path::Path};

use backfence_client::{Error, Resolution, SavedSession, ServerStatus};
use backfence_cluster::{Cluster, Role, write_small_data};
use support::{client, converged, ends, online, rate, run, session, until, view};

/// The file of data that has a row more.
const KINDS: [&str; 3] = ["movies.csv", "ratings.csv", "tags.csv"];

/// Writes the small data, and a row more in this file where one is named.
fn write(folder: &Path, longer: Option<&str>) {
    write_small_data(folder, "The Last One").expect("it is written");
    fs::write(folder.join("tags.csv"), "userId,movieId,tag,timestamp\n").expect("it is written");
    let Some(longer) = longer else { return };
    let row = match longer {
        "movies.csv" => "10,Sabrina (1995),Romance\n",
        "ratings.csv" => "9,1,1.0,964982999\n",
        _ => "9,1,funny,964982999\n",
    };
    let file = folder.join(longer);
    let text = fs::read_to_string(&file).expect("it is there") + row;
    fs::write(file, text).expect("it is written");
}

/// Has a server load the data of this folder.
fn load(args: &mut [String], folder: &Path) {
    for (flag, file) in [("--movies", "movies.csv"), ("--ratings", "ratings.csv")] {
        set(args, flag, &folder.join(file).display().to_string());
    }
}

fn set(args: &mut [String], flag: &str, value: &str) {
    let at = args.iter().position(|arg| arg == flag);
    value.clone_into(&mut args[at.expect("it is given") + 1]);
}

fn fingerprint(cluster: &Cluster, role: Role) -> String {
    let logged = cluster.wait_for_log(role, &["fingerprint="]);
    logged.expect("it is logged");
    let log = cluster.log(role);
    let (_, rest) = log.split_once("fingerprint=").expect("it is logged");
    rest.trim_matches('"')[..32].to_owned()
}

/// The server finds a cluster, ends, and leaves no directory behind that would refuse the
/// right data.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_cluster_with_other_data_ends() {
    let data = tempfile::tempdir().expect("a folder");
    write(data.path(), None);
    let builder = Cluster::builder().replicas(3).data_dirs(true);
    let mut cluster = builder.data(data.path()).start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    rate(&mut session, 1, "0.5").await.expect("it is taken");
    converged(&mut session, 3).await;
    let stray = Role::Replica(1);
    let ours = fingerprint(&cluster, Role::Replica(2));
    cluster.terminate(stray).expect("it is stopped");
    cluster.wipe(1).expect("its disk is wiped");
    for kind in KINDS {
        let other = tempfile::tempdir().expect("a folder");
        write(other.path(), Some(kind));
        let mut args = cluster.arguments(stray);
        load(&mut args, other.path());
        let ended = run("backfence-replica", &args);
        let texts = [
            "server 1 ",
            "server 2 ",
            &ours,
            "the same movies, ratings and tags",
        ];
        ends(&ended, 2, &texts);
        assert!(!ended.stdout.contains("SERVER READY"), "{kind}: {ended:?}");
        let folder = cluster.data_dir(1).expect("it has one");
        assert!(!folder.exists(), "{kind}");
        assert_ne!(rate(&mut session, 1, "1.5").await, Ok(1));
    }
    cluster
        .restart(stray)
        .expect("it starts with the right data");
    online(&mut session, 3).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("1.5"));
}

/// Three servers start at once, and the first has a row more: the two others are the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_start_together_most_are_the_cluster() {
    let (data, other) = (tempfile::tempdir(), tempfile::tempdir());
    let (data, other) = (data.expect("a folder"), other.expect("a folder"));
    write(data.path(), None);
    write(other.path(), Some("ratings.csv"));
    let builder = Cluster::builder().replicas(0).front_ends(0).data_dirs(true);
    let mut cluster = builder.data(data.path()).start().expect("a registry");
    for role in [2, 3].map(Role::Replica) {
        cluster.launch(role, |_| {}).expect("it starts");
    }
    for role in [2, 3].map(Role::Replica) {
        let registered = cluster.wait_for_log(role, &["registered", "address="]);
        registered.expect("it is registered");
    }
    let stray = Role::Replica(1);
    cluster
        .launch(stray, |args| load(args, other.path()))
        .expect("it starts");
    assert_eq!(cluster.wait_for_end(stray).expect("it ends"), Some(2));
    let log = cluster.log(stray);
    for text in ["server 1 has loaded other data", "than server 2 "] {
        assert!(log.contains(text), "no {text:?} in {log}");
    }
    for role in [2, 3].map(Role::Replica) {
        cluster.wait_until_ready(role).expect("it is ready");
    }
    cluster.restart(Role::FrontEnd(1)).expect("it starts");
    let mut session = session(&cluster, 2).await;
    rate(&mut session, 1, "2.5").await.expect("it is taken");
    cluster
        .restart(stray)
        .expect("it starts with the right data");
    online(&mut session, 3).await;
    converged(&mut session, 3).await;
}

/// A server of an established cluster with other data waits at the registry of another, and
/// nobody asks it, whatever becomes of those who serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_cluster_with_other_data_is_not_asked() {
    for kind in ["ratings.csv", "tags.csv"] {
        let other = tempfile::tempdir().expect("a folder");
        write(other.path(), Some(kind));
        let one = Cluster::builder().data_dirs(true).start();
        let one = one.expect("a cluster");
        let builder = Cluster::builder().replicas(4).data_dirs(true);
        let mut two = builder.data(other.path()).start().expect("another");
        let mut here = session(&one, 3).await;
        let mut there = session(&two, 4).await;
        rate(&mut here, 5, "1.5").await.expect("it is taken");
        rate(&mut there, 5, "4.5").await.expect("it is taken");
        converged(&mut here, 3).await;
        converged(&mut there, 4).await;
        let stray = Role::Replica(4);
        two.terminate(stray).expect("it is stopped");
        let registry = one.registry();
        two.launch(stray, |args| set(args, "--registry", &registry))
            .expect("it starts");
        until("the stray is told apart", &mut here, async |session| {
            let servers = session.status().await.ok()?;
            let statuses: Vec<_> = servers.iter().map(|server| server.status).collect();
            use ServerStatus::{Online, OtherData};
            (statuses == [Online, Online, Online, OtherData]).then_some(())
        })
        .await;
        let named = one.wait_for_log(Role::FrontEnd(1), &["SERVER4", "other data"]);
        named.expect("the front end names it");
        for server in 1..=3 {
            here.change_status(server).await.expect("it is turned off");
        }
        assert!(view(&mut here, 5).await.is_err(), "{kind}");
        for server in 1..=3 {
            here.change_status(server).await.expect("it is turned on");
        }
        assert_eq!(view(&mut here, 5).await.expect("an answer"), "1.5");
        assert_eq!(two.terminate(stray).expect("it ends"), Some(0));
    }
}

/// A movie's id goes with the data in which it was found, also to another front end.
#[tokio::test(flavor = "multi_thread")]
async fn a_rating_never_lands_on_a_movie_of_other_data() {
    let other = tempfile::tempdir().expect("a folder");
    write(other.path(), Some("movies.csv"));
    let one = Cluster::builder().replicas(1);
    let here = one.start().expect("a cluster");
    let two = Cluster::builder().replicas(1).data(other.path());
    let there = two.start().expect("another");
    let mut finder = session(&there, 1).await;
    let found = finder.find("Sabrina").await.expect("an answer");
    assert!(matches!(found, Resolution::Found(_)), "{found:?}");
    // It has seen nothing here.
    let saved = SavedSession {
        token: Vec::new(),
        ..finder.save()
    };
    let mut session = client(&here, &[1]).await.resume(saved);
    let error = rate(&mut session, 1, "0.5")
        .await
        .expect_err("it is refused");
    let Error::Refused { reason, message } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, "OTHER_DATA");
    assert!(message.contains("server 1 "), "{message}");
    session.find("toy story").await.expect("an answer");
    rate(&mut session, 1, "0.5").await.expect("it is taken");
}
