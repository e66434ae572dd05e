//! Wrong command lines, missing partners, and garbage on the ports.

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use backfence_cluster::{Cluster, Role};
use support::{PATIENCE, client, ends, rate, run, session, view};

const PROGRAMS: [&str; 4] = [
    "backfence-registry",
    "backfence-replica",
    "backfence-frontend",
    "backfence",
];

#[test]
fn an_unknown_option_ends_with_2() {
    for program in PROGRAMS {
        ends(&run(program, &["--bogus"]), 2, &["--bogus"]);
    }
}

#[test]
fn a_malformed_value_ends_with_2_and_is_named() {
    for (program, args) in [
        ("backfence-registry", ["--listen", "nowhere:x"]),
        ("backfence-replica", ["--server", "0"]),
        ("backfence-replica", ["--overload-probability", "1.5"]),
        ("backfence-replica", ["--gossip-interval", "often"]),
        ("backfence-replica", ["--movies", "/nonexistent/movies.csv"]),
        ("backfence-frontend", ["--registry", "ftp://example.org"]),
    ] {
        ends(&run(program, &args), 2, &[args[1]]);
    }
}

#[test]
fn help_and_version_end_with_0() {
    for program in PROGRAMS {
        for flag in ["--help", "--version"] {
            let finished = run(program, &[flag]);
            assert_eq!(finished.code, Some(0), "{finished:?}");
            assert!(finished.stdout.contains("backfence"), "{finished:?}");
        }
    }
}

/// A port at which nobody listens: the registry's, after it has gone.
fn nowhere() -> String {
    let cluster = Cluster::builder()
        .replicas(0)
        .front_ends(0)
        .start()
        .expect("a registry");
    cluster.registry()
}

#[test]
fn without_a_registry_programs_end_with_5() {
    let data = tempfile::tempdir().expect("a temporary folder");
    backfence_cluster::write_small_data(data.path(), "The Last One").expect("it is written");
    let registry = nowhere();
    let file = |name| data.path().join(name).display().to_string();
    let (movies, ratings) = (file("movies.csv"), file("ratings.csv"));
    let replica = [
        "--movies",
        &movies,
        "--ratings",
        &ratings,
        "--registry",
        &registry,
    ];
    let address = registry.trim_start_matches("http://");
    let front_end = ["--registry", &registry];
    // Each tries for 10 s, so both at once.
    std::thread::scope(|scope| {
        for (program, args) in [
            ("backfence-replica", replica.as_slice()),
            ("backfence-frontend", front_end.as_slice()),
        ] {
            scope.spawn(move || ends(&run(program, args), 5, &[address]));
        }
    });
}

#[test]
fn without_a_front_end_the_client_ends_with_5() {
    let cluster = Cluster::builder()
        .replicas(1)
        .front_ends(0)
        .start()
        .expect("a cluster");
    let registry = cluster.registry();
    let finished = run("backfence", &["--registry", &registry, "status"]);
    ends(&finished, 5, &["no front end", "backfence-frontend"]);
}

#[test]
fn a_name_that_is_taken_ends_with_4() {
    let cluster = Cluster::builder().replicas(1).start().expect("a cluster");
    for (role, name) in [
        (Role::Replica(1), "SERVER1"),
        (Role::FrontEnd(1), "FRONTEND"),
    ] {
        let program = match role {
            Role::Replica(_) => "backfence-replica",
            _ => "backfence-frontend",
        };
        ends(
            &run(program, &cluster.arguments(role)),
            4,
            &[name, cluster.address(role)],
        );
    }
}

#[test]
fn a_port_that_is_taken_ends_with_2() {
    let cluster = Cluster::builder()
        .replicas(0)
        .front_ends(0)
        .start()
        .expect("a registry");
    let address = cluster.address(Role::Registry);
    ends(
        &run("backfence-registry", &["--listen", address]),
        2,
        &[address],
    );
}

/// Sends the bytes, and reads what comes until the other side hangs up or is
/// silent for a moment.
fn throw(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    // It may hang up in the middle, which is right.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_port_disturbs_nothing() {
    let cluster = Cluster::builder().replicas(2).start().expect("a cluster");
    let mut before = session(&cluster, 2).await;
    rate(&mut before, 1, "0.5").await.expect("it is taken");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frames = [preface.as_slice(), &[0xff; 64]].concat();
    let settings = [preface.as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let noise: Vec<u8> = (0..1 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let roles = [
        Role::Registry,
        Role::Replica(1),
        Role::Replica(2),
        Role::FrontEnd(1),
    ];
    for role in roles {
        for bytes in [
            b"".as_slice(),
            b"GET / HTTP/1.1\r\n\r\n",
            preface,
            &frames,
            &settings,
            &noise,
        ] {
            throw(cluster.address(role), bytes);
        }
    }
    assert_eq!(view(&mut before, 1).await.as_deref(), Ok("0.5"));
    let mut after = client(&cluster, &[1]).await.session();
    assert_eq!(rate(&mut after, 1, "1.5").await, Ok(1));
    for role in roles {
        let log = cluster.log(role);
        assert!(!log.contains("panicked"), "{role}: {log}");
    }
}
