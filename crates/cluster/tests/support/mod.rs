//! What the end-to-end tests share: clients, and waiting for a condition.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod ledger;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use backfence_client::{
    Client, Error, MovieId, Rating, ReplicaState, Server, ServerStatus, Session, Source, Updated,
    UserId,
};
use backfence_cluster::{Cluster, Finished, Role};
use backfence_process::{ClusterKey, Environment};

pub(crate) const TOY_STORY: MovieId = MovieId(1);
pub(crate) const JUMANJI: MovieId = MovieId(2);
/// It comes without ratings.
pub(crate) const UNRATED: MovieId = MovieId(8);

/// How long a condition may take to come true; a program, to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A client of these front ends, as an operator.
pub(crate) async fn client(cluster: &Cluster, front_ends: &[u32]) -> Client {
    let address = |&n: &u32| {
        cluster
            .address(Role::FrontEnd(n))
            .parse()
            .expect("an address")
    };
    let source = Source::FrontEnds(front_ends.iter().map(address).collect());
    let connected = Client::connect(&Environment::real(), source).await;
    let key = ClusterKey::read(&cluster.key()).expect("it has one");
    connected
        .expect("front ends are named")
        .with_cluster_key(key)
}

/// A session through the first front end, once that sees all replicas.
pub(crate) async fn session(cluster: &Cluster, replicas: usize) -> Session {
    let mut session = client(cluster, &[1]).await.session();
    online(&mut session, replicas).await;
    session
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(
    what: &str,
    session: &mut Session,
    mut ask: impl AsyncFnMut(&mut Session) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask(session).await {
            return found;
        }
        if Instant::now() > deadline {
            panic!(
                "it never came true that {what}; status: {:#?}",
                session.status().await
            );
        }
    }
}

/// Waits until the front end sees so many servers, all of them online.
pub(crate) async fn online(session: &mut Session, replicas: usize) -> Vec<Server> {
    let what = format!("{replicas} servers are online");
    until(&what, session, async |session| {
        let servers = session.status().await.ok()?;
        let online = |server: &Server| server.status == ServerStatus::Online;
        (servers.len() == replicas && servers.iter().all(online)).then_some(servers)
    })
    .await
}

/// Waits until all of so many servers reflect the same, and more than nothing.
pub(crate) async fn converged(session: &mut Session, replicas: usize) -> Vec<ReplicaState> {
    let what = format!("{replicas} servers agree");
    until(&what, session, async |session| {
        let servers = session.status().await.ok()?;
        let states: Vec<_> = servers
            .into_iter()
            .filter_map(|server| server.state)
            .collect();
        let first = states.first()?.value_ts.clone();
        let agree = |state: &ReplicaState| state.value_ts == first && state.replica_ts == first;
        let all = states.len() == replicas && first.iter().next().is_some();
        (all && states.iter().all(agree)).then_some(states)
    })
    .await
}

/// Waits until all servers agree and every log is empty: each knows that all have
/// everything.
pub(crate) async fn drained(session: &mut Session, replicas: usize) {
    until("the logs are empty", session, async |session| {
        let states = converged(session, replicas).await;
        states.iter().all(|state| state.log_len == 0).then_some(())
    })
    .await;
}

/// Turns servers round.
pub(crate) async fn change(session: &mut Session, servers: &[u32]) {
    for &server in servers {
        session
            .change_status(server)
            .await
            .expect("the status is turned round");
    }
}

pub(crate) async fn rate(session: &mut Session, user: u32, rating: &str) -> Result<u32, Error> {
    let updated = taken(session, UserId(user), TOY_STORY, Some(stars(rating))).await?;
    Ok(updated.server)
}

/// Sends one update until somebody says that it was taken, or will not be: that no answer has
/// come in time says nothing of it, but that the machine is busy.
pub(crate) async fn taken(
    session: &mut Session,
    user: UserId,
    movie: MovieId,
    rating: Option<Rating>,
) -> Result<Updated, Error> {
    let deadline = Instant::now() + PATIENCE;
    let update = loop {
        match session.prepare(user, movie, rating).await {
            Err(error) if is_silence(&error) && Instant::now() < deadline => {}
            prepared => break prepared?,
        }
    };
    loop {
        match session.send(&update).await {
            Err(error) if is_silence(&error) && Instant::now() < deadline => {}
            sent => return sent,
        }
    }
}

fn is_silence(error: &Error) -> bool {
    matches!(
        error,
        Error::OutcomeUnknown { .. } | Error::OutOfTime { .. }
    )
}

/// The rating of Toy Story, as it is printed; empty where there is none.
pub(crate) async fn view(session: &mut Session, user: u32) -> Result<String, Error> {
    let deadline = Instant::now() + PATIENCE;
    let seen = loop {
        match session.view(UserId(user), TOY_STORY).await {
            Err(error) if is_silence(&error) && Instant::now() < deadline => {}
            seen => break seen?,
        }
    };
    Ok(seen.map_or_else(String::new, |seen| seen.rating.to_string()))
}

pub(crate) fn stars(rating: &str) -> Rating {
    rating.parse().expect("a rating")
}

/// What the program for people makes of it, as an operator.
pub(crate) fn told(cluster: &Cluster, words: &[&str]) -> Finished {
    let (front_end, key) = (cluster.front_end(1), cluster.key());
    let key = key.to_str().expect("it is text");
    let options = ["--frontend", &front_end, "--cluster-key", key];
    run("backfence", &[&options, words].concat())
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, args: &[impl AsRef<str>]) -> Finished {
    let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
    backfence_cluster::run(program, &args, b"", PATIENCE).expect("it runs and ends")
}

/// Whether a program of the system is there, and ends well. What it says is not shown.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    let ran = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}

/// What a program must end with.
pub(crate) fn ends(finished: &Finished, code: i32, texts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for text in texts {
        assert!(
            finished.stderr.contains(text),
            "no {text:?} in {finished:?}"
        );
    }
}
