//! With a cluster key a replica takes nothing from who does not prove that it has it too.

use std::{sync::Arc, time::Duration};

use backfence_gossip::{Limits, ReplicaId};
use backfence_process::{
    Address, CancellationToken, ClusterKey, Discovery, Environment, NodeKey, Rpc, bind,
};
use backfence_ratings::Base;
use backfence_replica::Config;
use backfence_wire::{
    Versions,
    v1::{
        self, ServeRequest, peer_message::Body, replica_client::ReplicaClient,
        serve_reply::Outcome, serve_request,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

/// Long enough for a busy machine; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(20);
const MOVIES: &str = "movieId,title,genres\n1,A,\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n";
/// A server that the replica has never heard of.
const STRANGER: ReplicaId = ReplicaId::new(99, 1);

fn key(byte: u8) -> ClusterKey {
    ClusterKey::new(&[byte; 32]).unwrap()
}

fn free() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

/// A registry and a replica with the key 1.
struct Town {
    address: Address,
    client: ReplicaClient<Channel>,
}

impl Town {
    async fn new() -> Self {
        let (environment, never) = (Environment::real(), CancellationToken::new());
        let listener = bind(&free()).await.unwrap();
        let registry = Address::from(listener.local_addr().unwrap());
        let config = backfence_registry::Config {
            cluster_key: Some(key(1)),
            accept_keyless: false,
        };
        let run = backfence_registry::run(listener, config, environment.clone(), never.clone());
        tokio::spawn(run);
        let base = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true).unwrap();
        let config = Config {
            server: Some(1),
            registry: registry.clone(),
            advertise: None,
            overload_probability: 0.0,
            gossip_interval: Duration::from_secs(1),
            limits: Limits {
                version: Versions::OWN.newest,
                ..Limits::default()
            },
            data_dir: None,
            cluster_key: Some(key(1)),
            accept_keyless: false,
        };
        let listener = bind(&free()).await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let base = Arc::new(base.base);
        let run = backfence_replica::run(listener, base, config, environment.clone(), never);
        tokio::spawn(run);
        let mut entries = Discovery::new(&environment, registry).watch("SERVER");
        let is_there = entries.wait_for(|entries| !entries.is_empty());
        tokio::time::timeout(DEADLINE, is_there)
            .await
            .expect("it registers in time")
            .unwrap();
        let client = ReplicaClient::new(environment.connect(&address));
        Self { address, client }
    }

    async fn described(&self) -> v1::DescribeResponse {
        let mut client = self.client.clone();
        let description = async {
            loop {
                match client.describe(v1::DescribeRequest::default()).await {
                    Ok(description) => return description.into_inner(),
                    // It has registered, and is about to start.
                    Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, description)
            .await
            .expect("it describes itself in time")
    }

    async fn hello(&self) -> v1::Hello {
        v1::Hello {
            id: Some(STRANGER.into()),
            fingerprint: self.described().await.fingerprint,
            address: "127.0.0.1:1".into(),
            wire: Some(Versions::OWN.into()),
            ..v1::Hello::default()
        }
    }

    /// A stream on which this has been said at once.
    async fn gossip(&self, bodies: Vec<Body>) -> Talk {
        let (says, receiver) = mpsc::channel(16);
        let talk = says.clone();
        for body in bodies {
            talk.send(message(body)).await.unwrap();
        }
        let mut client = self.client.clone();
        let answers = client.gossip(ReceiverStream::new(receiver)).await.unwrap();
        Talk {
            says,
            answers: answers.into_inner(),
        }
    }

    async fn knows_nobody_else(&self) {
        let members = self.described().await.members;
        let servers: Vec<_> = members.into_iter().map(|member| member.server).collect();
        assert_eq!(servers, [1]);
    }
}

struct Talk {
    says: mpsc::Sender<v1::PeerMessage>,
    answers: Streaming<v1::PeerMessage>,
}

impl Talk {
    async fn say(&self, body: Body) {
        self.says.send(message(body)).await.unwrap();
    }

    async fn hear(&mut self) -> Result<Body, Status> {
        let heard = tokio::time::timeout(DEADLINE, self.answers.message());
        let heard = heard.await.expect("it answers in time")?;
        Ok(heard
            .and_then(|message| message.body)
            .expect("it says something"))
    }

    async fn refused(&mut self) {
        let refused = self.hear().await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(
            refused.message().contains("--cluster-key FILE"),
            "{refused}"
        );
    }

    async fn hello(&mut self) -> v1::Hello {
        match self.hear().await.unwrap() {
            Body::Hello(hello) => hello,
            other => panic!("{other:?}"),
        }
    }
}

fn message(body: Body) -> v1::PeerMessage {
    v1::PeerMessage {
        event: 0,
        body: Some(body),
    }
}

fn offer() -> Body {
    Body::Offer(v1::Offer {
        members: vec![STRANGER.into(), ReplicaId::new(98, 1).into()],
        horizon_us: u64::MAX,
        settled_us: u64::MAX,
        ..v1::Offer::default()
    })
}

/// What the scripts of attackers send behind a Hello: it does not come to be read.
#[tokio::test]
async fn a_peer_without_the_key_is_refused_at_its_hello() {
    let town = Town::new().await;
    let end_of_one = v1::Hello {
        id: Some(ReplicaId::end(1).into()),
        ..town.hello().await
    };
    let state = v1::StateChunk {
        bytes: vec![1; 100],
        last: true,
    };
    for bodies in [
        vec![Body::Hello(town.hello().await), offer()],
        vec![Body::Hello(town.hello().await), Body::State(state)],
        vec![Body::Hello(end_of_one)],
    ] {
        town.gossip(bodies).await.refused().await;
        town.knows_nobody_else().await;
    }
}

#[tokio::test]
async fn a_peer_that_proves_nothing_is_told_and_taken_for_nobody() {
    let town = Town::new().await;
    let hello = v1::Hello {
        nonce: vec![5; 32],
        ..town.hello().await
    };
    // As if it had the key, and with what it can get: another key's, and the replica's own.
    let other = NodeKey::new(Some(&key(2)));
    let other = other.call(Rpc::Gossip, Some(STRANGER), &town.address, [5; 32]);
    for attempt in 0..3 {
        let mut talk = town.gossip(vec![Body::Hello(hello.clone())]).await;
        let said = talk.hello().await;
        assert!(other.hear(&said).is_err());
        let own = said.proof.expect("it proves itself");
        talk.say(match attempt {
            0 => Body::Proof(v1::Proof { mac: vec![0; 32] }),
            1 => Body::Proof(own),
            _ => offer(),
        })
        .await;
        talk.refused().await;
        town.knows_nobody_else().await;
    }
}

#[tokio::test]
async fn a_peer_with_the_key_is_answered_and_its_proof_is_for_once() {
    let town = Town::new().await;
    let ours = NodeKey::new(Some(&key(1)));
    let caller = ours.call(Rpc::Gossip, Some(STRANGER), &town.address, [5; 32]);
    let hello = v1::Hello {
        nonce: caller.nonce(),
        ..town.hello().await
    };
    let mut talk = town.gossip(vec![Body::Hello(hello.clone())]).await;
    let said = talk.hello().await;
    let proof = caller.hear(&said).unwrap().expect("a proof is wanted");
    talk.say(Body::Proof(proof.clone())).await;
    let report = v1::Offer {
        members: vec![STRANGER.into()],
        pull: true,
        ..v1::Offer::default()
    };
    talk.say(Body::Offer(report)).await;
    let answer = talk.hear().await.unwrap();
    assert!(
        matches!(answer, Body::Offer(_) | Body::State(_)),
        "{answer:?}"
    );

    // Both say the same again, as who has overheard them would.
    let mut again = town.gossip(vec![Body::Hello(hello)]).await;
    again.hello().await;
    again.say(Body::Proof(proof)).await;
    again.refused().await;
}

#[tokio::test]
async fn a_front_end_without_the_key_commands_nothing() {
    let town = Town::new().await;
    let ours = NodeKey::new(Some(&key(1)));
    let caller = ours.call(Rpc::Serve, None, &town.address, [5; 32]);
    let request = |number, body| ServeRequest {
        number,
        patience_ms: 1000,
        body: Some(body),
        ..ServeRequest::default()
    };
    let hello = |nonce| {
        let wire = Some(Versions::OWN.into());
        serve_request::Body::Hello(v1::Hello {
            wire,
            nonce,
            ..v1::Hello::default()
        })
    };
    let open = async |first: Vec<ServeRequest>| {
        let (says, receiver) = mpsc::channel(16);
        for request in first {
            says.send(request).await.unwrap();
        }
        let mut client = town.client.clone();
        let replies = client.serve(ReceiverStream::new(receiver)).await.unwrap();
        (says, replies.into_inner())
    };
    let next = async |replies: &mut Streaming<v1::ServeReply>| {
        let reply = tokio::time::timeout(DEADLINE, replies.message());
        let reply = reply.await.expect("it answers in time")?;
        Ok::<_, Status>(reply.expect("it answers"))
    };
    town.described().await;
    let offline = v1::ServerStatus::Offline.into();
    let change =
        || serve_request::Body::ChangeStatus(serve_request::ChangeStatus { wanted: offline });
    let retire = serve_request::Body::Retire(serve_request::Retire {
        server: 1,
        force: true,
    });
    for first in [
        vec![request(1, change())],
        vec![request(0, hello(Vec::new())), request(1, change())],
        vec![request(0, hello(Vec::new())), request(1, retire)],
    ] {
        let (_says, mut replies) = open(first).await;
        let refused = next(&mut replies).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    }
    // It skips the proof.
    let (says, mut replies) = open(vec![request(0, hello(vec![5; 32]))]).await;
    next(&mut replies).await.unwrap();
    says.send(request(1, change())).await.unwrap();
    let refused = next(&mut replies).await.expect_err("it is refused");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let status = town.described().await.status;
    assert_eq!(status, i32::from(v1::ServerStatus::Online));

    let (says, mut replies) = open(vec![request(0, hello(caller.nonce()))]).await;
    let Some(Outcome::Hello(said)) = next(&mut replies).await.unwrap().outcome else {
        panic!("no Hello");
    };
    let proof = caller.hear(&said).unwrap().expect("a proof is wanted");
    says.send(request(0, serve_request::Body::Proof(proof)))
        .await
        .unwrap();
    says.send(request(1, change())).await.unwrap();
    // It may say Hello again in between, since it has joined.
    let changed = loop {
        match next(&mut replies).await.unwrap().outcome {
            Some(Outcome::Hello(_)) => {}
            other => break other,
        }
    };
    assert!(
        matches!(changed, Some(Outcome::StatusChanged(_))),
        "{changed:?}"
    );
}
