//! Both ends of a gossip stream: what is said, and how a peer's calls are answered.

use std::{sync::Arc, time::Duration};

use backfence_gossip::{Message, ReplicaId, Scope, Time};
use backfence_process::CancellationToken;
use backfence_ratings::Ratings;
use backfence_wire::{
    ClusterId, Malformed, StateReader, Versions, encode, offer, read_offer, state,
    v1::{self, peer_message::Body},
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Status, Streaming};

use crate::{
    cluster::{Claim, Strangers},
    copy::{BUILD, Clock, Copy, NotTaken, Told},
    greet,
    states::Arriving,
};

/// How long the other side may take for one message.
pub(crate) const MESSAGE: Duration = Duration::from_secs(5);
/// Bytes of an encoded state in one message.
const CHUNK: usize = 1 << 20;

/// Why a state is not read.
const TOO_LARGE: &str = "the states that arrive from all peers would take more than 256 MiB; it \
                         is asked for again, and if it is alone it is too large for ever";

/// What is heard of a peer: the message, what its clock showed (0 where it does not say), and
/// whether it asks for records.
pub(crate) struct Heard {
    pub(crate) message: Message<Ratings>,
    pub(crate) clock: Time,
    pub(crate) pull: bool,
    /// The memory of a state, until it is taken in.
    _memory: Option<Arriving>,
}

/// A peer, as its Hello tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) id: ReplicaId,
    /// The newest version of the wire that it speaks.
    newest: u32,
    /// The newest that both speak.
    version: u32,
    /// The cluster that both belong to.
    pub(crate) cluster: ClusterId,
}

/// Why a stream to or from a peer ends.
pub(crate) enum Ended {
    /// This replica's cluster has another name now: the next stream says so.
    Renamed,
    /// Anything else.
    Status(Status),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<NotTaken> for Ended {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Renamed => Self::Renamed,
            NotTaken::Malformed(error) => Self::Status(Status::invalid_argument(error.to_string())),
        }
    }
}

impl From<Ended> for Status {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Renamed => Self::unavailable(NotTaken::Renamed.to_string()),
            Ended::Status(status) => status,
        }
    }
}

/// Answers a peer's calls until it goes, or this replica does.
pub(crate) async fn serve(
    copy: Arc<Copy>,
    mut calls: Streaming<v1::PeerMessage>,
    answers: Outgoing,
    shutdown: CancellationToken,
) {
    let answers = Says {
        copy: copy.clone(),
        to: answers,
    };
    let served = async {
        let peer = greet::called(&copy, &mut calls, &answers).await?;
        loop {
            let heard = tokio::select! {
                biased;
                () = copy.left(peer.cluster) => return Err(Ended::Renamed),
                heard = hear(&copy, peer.id, &mut calls) => heard?,
            };
            let Some(heard) = heard else {
                return Ok(());
            };
            refuse_if_full(&copy, &heard.message)?;
            let clock = Clock::Called(heard.clock);
            copy.receive(peer.cluster, heard.message, clock).await?;
            let answer = if heard.pull {
                copy.message(peer.id, Scope::All).await
            } else {
                copy.report().await
            };
            answers.say_message(peer, &answer, false).await?;
        }
    };
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Err(Status::unavailable("the replica is leaving").into()),
        ended = served => ended,
    };
    if let Err(ended) = ended {
        // The peer may be the one that has gone.
        let _ = answers.to.send(Err(ended.into())).await;
    }
}

/// Where the disk is full, nothing more is taken that would have to be written.
pub(crate) fn refuse_if_full(copy: &Copy, message: &Message<Ratings>) -> Result<(), Status> {
    let brings = !matches!(message, Message::Offer(offer) if offer.records.is_empty());
    if brings && copy.is_full() {
        return Err(Status::unavailable("the disk of the replica is full"));
    }
    Ok(())
}

pub(crate) fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Waits for the other side to say who it is.
pub(crate) async fn hear_hello(
    stream: &mut Streaming<v1::PeerMessage>,
) -> Result<(ReplicaId, v1::Hello), Status> {
    let heard = timeout(MESSAGE, stream.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    let Some(Body::Hello(hello)) = heard.and_then(|message| message.body) else {
        return Err(Status::invalid_argument(
            "the first message must be a Hello",
        ));
    };
    let id = hello.id.ok_or(Malformed("a Hello without an id"));
    let id = id.and_then(TryInto::try_into).map_err(malformed)?;
    Ok((id, hello))
}

/// Meets a peer that has said this, or refuses one that cannot be gossiped with.
pub(crate) fn accept(copy: &Copy, id: ReplicaId, hello: &v1::Hello) -> Result<Peer, Status> {
    let (own, there) = (copy.id, &hello.address);
    let here = &copy.address;
    let refused = |why: String| Err(Status::failed_precondition(why));
    if hello.fingerprint != copy.fingerprint {
        copy.hear_other_data();
        return refused(format!(
            "replica {own} at {here} was started with other data (fingerprint {}) than replica \
             {id} at {there} (fingerprint {}); start both with the same movies and ratings files",
            copy.fingerprint, hello.fingerprint
        ));
    }
    if id == own {
        return refused(format!("replica {id} cannot gossip with itself"));
    }
    if let Err(why) = copy.may_be(id) {
        return refused(format!(
            "replica {own} at {here} does not gossip with {id} at {there}: {why}"
        ));
    }
    let (spoken, heard) = (copy.versions(), Versions::from(hello.wire));
    let Some(version) = spoken.common(heard) else {
        return refused(format!(
            "replica {own} at {here} ({}) speaks version {spoken} of the wire, and replica {id} at \
             {there} ({}) version {heard}; upgrade the older program",
            build(BUILD),
            build(&hello.build)
        ));
    };
    let claim = Claim::read(&hello.cluster, hello.standing, &hello.fingerprint);
    match copy.meet(id, heard.newest, &claim.map_err(malformed)?) {
        Ok(cluster) => Ok(Peer {
            cluster,
            id,
            newest: heard.newest,
            version,
        }),
        Err(Strangers {
            own: cluster,
            other,
        }) => refused(format!(
            "replica {own} at {here} belongs to cluster {cluster}, and replica {id} at {there} to \
             cluster {other}; give each cluster a registry of its own, or start one of the two \
             with an empty --data-dir to have it join the other"
        )),
    }
}

fn build(said: &str) -> String {
    match said {
        "" => "before 0.2".to_owned(),
        said => said.chars().filter(|c| !c.is_control()).take(40).collect(),
    }
}

/// Waits for the next message, a state in pieces included; `None` when the stream
/// has ended. A peer may be silent for long before a message, not within one.
pub(crate) async fn hear(
    copy: &Copy,
    peer: ReplicaId,
    stream: &mut Streaming<v1::PeerMessage>,
) -> Result<Option<Heard>, Status> {
    let mut arriving: Option<(StateReader, Arriving)> = None;
    let Some(mut message) = stream.message().await? else {
        return Ok(None);
    };
    loop {
        match message.body {
            Some(Body::Offer(offer)) if arriving.is_none() => {
                let (pull, clock) = (offer.pull, Time(offer.now_us));
                let message = Message::Offer(read_offer(peer, offer).map_err(malformed)?);
                return Ok(Some(Heard {
                    message,
                    clock,
                    pull,
                    _memory: None,
                }));
            }
            Some(Body::State(chunk)) => {
                let (mut reader, mut memory) = arriving.take().unwrap_or_else(|| {
                    let reader = StateReader::new(peer, copy.base.clone());
                    (reader, copy.states.arriving())
                });
                reader.push(&chunk.bytes).map_err(malformed)?;
                if !memory.grow_to(reader.memory()) {
                    return Err(Status::resource_exhausted(TOO_LARGE));
                }
                if chunk.last {
                    let clock = reader.clock();
                    let state = reader.finish().map_err(malformed)?;
                    return Ok(Some(Heard {
                        message: Message::State(Box::new(state)),
                        clock,
                        pull: false,
                        _memory: Some(memory),
                    }));
                }
                arriving = Some((reader, memory));
            }
            _ => return Err(Status::invalid_argument("neither an Offer nor a state")),
        }
        message = timeout(MESSAGE, stream.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the rest of a state did not come"))??
            .ok_or_else(|| Status::unavailable("the peer has gone"))?;
    }
}

/// Messages on their way to a peer, or the reason why there will be no more.
pub(crate) type Outgoing = mpsc::Sender<Result<v1::PeerMessage, Status>>;

/// What this replica says on one stream.
pub(crate) struct Says {
    pub(crate) copy: Arc<Copy>,
    pub(crate) to: Outgoing,
}

impl Says {
    /// Sends a message, a state in pieces.
    pub(crate) async fn say_message(
        &self,
        peer: Peer,
        message: &Message<Ratings>,
        pull: bool,
    ) -> Result<(), Ended> {
        self.refuse_too_old(peer)?;
        if self.copy.cluster() != peer.cluster {
            return Err(Ended::Renamed);
        }
        let now = self.copy.now();
        let whole = match message {
            Message::Offer(records) => {
                return Ok(self.say(Body::Offer(offer(records, pull, now))).await?);
            }
            Message::State(whole) => whole,
        };
        let bytes = encode(&state(whole, peer.version, now));
        let chunks = bytes.chunks(CHUNK);
        let number = chunks.len();
        for (at, chunk) in chunks.enumerate() {
            let chunk = v1::StateChunk {
                bytes: chunk.to_vec(),
                last: at + 1 == number,
            };
            self.say(Body::State(chunk)).await?;
        }
        Ok(())
    }

    /// Says who this is, once the disk has what that tells. Gives what it has said.
    pub(crate) async fn say_hello(
        &self,
        nonce: Vec<u8>,
        proof: Option<v1::Proof>,
    ) -> Result<v1::Hello, Status> {
        let Told { mut what, after } = self.copy.hello();
        (what.nonce, what.proof) = (nonce, proof);
        self.copy.reach(after).await;
        self.say(Body::Hello(what.clone())).await?;
        Ok(what)
    }

    /// Says one thing; waits while too much is on its way.
    pub(crate) async fn say(&self, body: Body) -> Result<(), Status> {
        let message = v1::PeerMessage {
            event: self.copy.next_event(),
            body: Some(body),
        };
        match timeout(MESSAGE, self.to.send(Ok(message))).await {
            Ok(sent) => sent.map_err(|_| Status::unavailable("the peer has gone")),
            Err(_) => Err(Status::deadline_exceeded("the peer does not read")),
        }
    }

    /// Since they met, a record may have come that the peer does not understand.
    fn refuse_too_old(&self, peer: Peer) -> Result<(), Status> {
        let Versions { oldest, .. } = self.copy.versions();
        if oldest <= peer.newest {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "the cluster has records of version {oldest}, and replica {} understands version {}; \
             upgrade its program",
            peer.id, peer.newest
        )))
    }
}
