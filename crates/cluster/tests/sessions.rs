//! What one client can do to another's session: nothing.

mod support;

use backfence_cluster::Cluster;
use backfence_wire::v1::{self, front_end_client::FrontEndClient};
use support::{TOY_STORY, session};
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

/// What the token says that the session has seen.
fn own_clock(session: &v1::Session) -> u64 {
    let read = backfence_wire::session(&session.token);
    read.expect("a token").clock.0
}
