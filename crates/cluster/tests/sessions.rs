//! What one client can do to another's session: nothing. And what becomes of an id that is used
//! twice.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::fs;

use backfence_cluster::{Cluster, Role};
use backfence_wire::v1::{self, front_end_client::FrontEndClient};
use support::{TOY_STORY, converged, drained, ends, run, session, until};
use tonic::{Code, Status, transport::Channel};

const USER: u32 = 4242;

/// A client that knows the protos, and a front end.
struct Foreign(FrontEndClient<Channel>);

impl Foreign {
    async fn new(cluster: &Cluster) -> Self {
        let connected = FrontEndClient::connect(cluster.front_end(1)).await;
        Self(connected.expect("a connection"))
    }

    async fn open(&mut self, open: v1::OpenSessionRequest) -> v1::Session {
        let opened = self.0.open_session(open).await.expect("a session");
        opened.into_inner().session.expect("a session")
    }

    /// Gives the rating, as update `sequence` of the session with this id, dated after all
    /// that the session has seen.
    async fn rate(
        &mut self,
        session: &v1::Session,
        id: &[u8],
        sequence: u64,
        rating: f64,
    ) -> Result<v1::UpdateResponse, Status> {
        let time_us = session.clock_us + sequence;
        self.rate_at(time_us, session, id, sequence, rating).await
    }

    async fn rate_at(
        &mut self,
        time_us: u64,
        session: &v1::Session,
        id: &[u8],
        sequence: u64,
        rating: f64,
    ) -> Result<v1::UpdateResponse, Status> {
        let update_id = v1::UpdateId {
            session: id.to_vec(),
            sequence,
        };
        let rate = v1::RateRequest {
            session: session.token.clone(),
            user_id: USER,
            movie_id: TOY_STORY.0,
            rating,
            update_id: Some(update_id),
            time_us,
            ..Default::default()
        };
        self.0.rate(rate).await.map(|reply| reply.into_inner())
    }

    async fn view(&mut self, token: Vec<u8>) -> v1::UserRating {
        let view = v1::ViewRequest {
            session: token,
            user_id: USER,
            movie_id: TOY_STORY.0,
            ..Default::default()
        };
        let viewed = self.0.view(view).await.expect("an answer").into_inner();
        viewed.rating.expect("there is a rating")
    }
}

/// Another's session cannot be named by what answers tell, nor by its id, whatever token comes
/// with it, so nobody can use up its numbers.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_updates_in_another_session() {
    let cluster = Cluster::builder().start().expect("a cluster");
    session(&cluster, 3).await;
    let mut victim = Foreign::new(&cluster).await;
    let own = victim.open(v1::OpenSessionRequest::default()).await;
    let first = victim.rate(&own, &own.id, 1, 4.0).await;
    let own = first.expect("it is taken").session.expect("a session");

    let mut thief = Foreign::new(&cluster).await;
    let shown = thief.view(own.token.clone()).await.update_id;
    let shown = shown.expect("it was given").session;
    assert!(shown == own.digest && shown != own.id);
    #[expect(deprecated, reason = "front ends of 0.2 took it")]
    let named = v1::OpenSessionRequest {
        id: own.id.clone(),
        ..Default::default()
    };
    let none = v1::Session {
        token: Vec::new(),
        ..own.clone()
    };
    for opened in [
        thief.open(v1::OpenSessionRequest::default()).await,
        thief.open(named).await,
        none,
    ] {
        for id in [&own.id, &shown] {
            for sequence in 2..=10 {
                let rated = thief.rate(&opened, id, sequence, 2.0).await;
                let refused = rated.expect_err("it is another's");
                assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
                assert!(refused.message().starts_with("update_id: "), "{refused}");
            }
        }
    }
    let second = victim.rate(&own, &own.id, 2, 1.0).await;
    let own = second.expect("it is taken").session.expect("a session");
    assert_eq!(victim.view(own.token).await.rating, 1.0);
}

/// An update that is dated no later than what its session has seen would never be seen by it,
/// so it is not taken; but one that was taken is answered when it comes again.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_its_session_would_never_see_is_not_taken() {
    let cluster = Cluster::builder().start().expect("a cluster");
    session(&cluster, 3).await;
    let mut client = Foreign::new(&cluster).await;
    let opened = client.open(v1::OpenSessionRequest::default()).await;
    let time = opened.clock_us + 1;
    let first = client.rate_at(time, &opened, &opened.id, 1, 4.0).await;
    let own = first.expect("it is taken").session.expect("a session");
    for early in [own_clock(&own), own_clock(&own) - 1] {
        let rated = client.rate_at(early, &own, &own.id, 2, 1.0).await;
        let refused = rated.expect_err("it is not above");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with("time_us: "), "{refused}");
        assert_eq!(client.view(own.token.clone()).await.rating, 4.0);
    }
    let again = client.rate_at(time, &own, &own.id, 1, 4.0).await;
    let again = again.expect("it is known").session.expect("a session");
    assert_eq!(client.view(again.token.clone()).await.rating, 4.0);
    let second = client.rate(&again, &again.id, 2, 1.0).await;
    let own = second.expect("it is taken").session.expect("a session");
    assert_eq!(client.view(own.token).await.rating, 1.0);
}

/// Two servers have each taken another update with one id, while the other was away: of another
/// rating, or only of another time.
#[tokio::test(flavor = "multi_thread")]
async fn two_updates_with_one_id_end_alike_everywhere() {
    for (later, rating) in [(0, 4.0), (1, 2.0)] {
        let cluster = Cluster::builder().data_dirs(true).start();
        let mut cluster = cluster.expect("a cluster");
        let mut watch = session(&cluster, 3).await;
        let mut client = Foreign::new(&cluster).await;
        let opened = client.open(v1::OpenSessionRequest::default()).await;
        let time = opened.clock_us + 1;
        for role in [Role::Replica(2), Role::Replica(3)] {
            cluster.kill(role).expect("it is killed");
        }
        let one = (time, 2.0);
        until("server 1 takes it", &mut watch, async |_| {
            let rated = client.rate_at(one.0, &opened, &opened.id, 1, one.1).await;
            rated.ok()
        })
        .await;
        cluster.terminate(Role::Replica(1)).expect("it leaves");
        for role in [Role::Replica(2), Role::Replica(3)] {
            cluster.restart(role).expect("it comes back");
        }
        let other = (time + later, rating);
        until("server 2 takes the other", &mut watch, async |_| {
            let rated = client
                .rate_at(other.0, &opened, &opened.id, 1, other.1)
                .await;
            rated.ok()
        })
        .await;
        cluster.restart(Role::Replica(1)).expect("it comes back");
        drained(&mut watch, 3).await;
        let digests = watch.digest().await.expect("they are there");
        let digests = digests.values().map(|said| Some(said.as_ref()?.digest));
        let digests: Vec<_> = digests.collect();
        assert!(
            digests[0].is_some() && digests == [digests[0]; 3],
            "{digests:?}"
        );
        // Each is a retry now, and a third is refused.
        for (time, rating) in [one, other] {
            let again = client.rate_at(time, &opened, &opened.id, 1, rating).await;
            again.expect("it is known");
        }
        let third = client.rate_at(time, &opened, &opened.id, 1, 3.0).await;
        let refused = third.expect_err("it is another");
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    }
}

/// It makes old numbers again, which nobody compares in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_put_back_is_told_that_nothing_was_done() {
    let cluster = Cluster::builder().start().expect("a cluster");
    let mut watch = session(&cluster, 3).await;
    let folder = tempfile::tempdir().expect("a folder");
    let [file, copy] = ["session", "copy"].map(|name| folder.path().join(name));
    let front_end = cluster.front_end(1);
    let with = |words: &[&str]| {
        let path = file.to_str().expect("it is text");
        let options = ["--frontend", &front_end, "--session", path, "--user", "9"];
        run("backfence", &[&options, words].concat())
    };
    ends(&with(&["rate", "Toy Story", "1"]), 0, &[]);
    fs::copy(&file, &copy).expect("it is ours");
    // More than the replies that are remembered.
    for _ in 0..10 {
        ends(&with(&["rate", "Toy Story", "2"]), 0, &[]);
        ends(&with(&["rate", "Toy Story", "3"]), 0, &[]);
    }
    fs::copy(&copy, &file).expect("it is ours");
    let refused = [
        "UPDATE_ID_REUSED",
        "the update was not done",
        "begin another one",
    ];
    ends(&with(&["rate", "Toy Story", "4"]), 4, &refused);
    converged(&mut watch, 3).await;
    let viewed = with(&["view", "Toy Story"]);
    assert!(viewed.stdout.contains("was 3.0"), "{viewed:?}");
}

/// What the token says that the session has seen.
fn own_clock(session: &v1::Session) -> u64 {
    let read = backfence_wire::session(&session.token);
    read.expect("a token").clock.0
}
