//! How a stream to or from a replica begins: each side says who it is, and with a cluster key
//! proves that it has it too. Nothing is taken from the other before.

use backfence_gossip::ReplicaId;
use backfence_process::{Answer, Callee, Rpc, Unproved};
use backfence_wire::v1::{self, peer_message::Body};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::{
    cluster::{Claim, settle},
    copy::Copy,
    gossip::{Ended, MESSAGE, Peer, Says, accept, hear_hello, malformed},
};

impl Copy {
    /// Tells both sides that `other` has not proved itself, and why.
    pub(crate) fn unproved(&self, why: Unproved, other: &str) -> Status {
        let sentence = why.between(
            format_args!("replica {} at {}", self.id, self.address),
            other,
        );
        self.complain_of_stranger(|| format!("refused: {sentence}"));
        Status::unauthenticated(sentence)
    }

    /// Says that a caller has a key, where this replica has none. It may be content with that.
    pub(crate) fn notice_key(&self, nonce: &[u8], other: &str) {
        if !nonce.is_empty() && !self.key.is_there() {
            self.complain_of_stranger(|| {
                format!(
                    "{other} has a cluster key, and this replica has none; start all programs of \
                     the cluster with the same --cluster-key FILE"
                )
            });
        }
    }

    /// This replica, as it is called.
    pub(crate) fn called(&self, rpc: Rpc) -> Callee<'_> {
        Callee {
            rpc,
            id: self.id,
            address: &self.address,
        }
    }
}

/// Hears who calls, and says who this is.
pub(crate) async fn called(
    copy: &Copy,
    calls: &mut Streaming<v1::PeerMessage>,
    answers: &Says,
) -> Result<Peer, Ended> {
    let (id, hello) = hear_hello(calls).await?;
    let other = named(id, &hello);
    let answer = (copy.key).answer(
        &copy.called(Rpc::Gossip),
        Some(id),
        &hello.nonce,
        copy.nonce(),
    );
    let answer = answer.map_err(|why| copy.unproved(why, &other))?;
    let Some(Answer { nonce, proof, owed }) = answer else {
        copy.notice_key(&hello.nonce, &other);
        let peer = accept(copy, id, &hello)?;
        answers.say_hello(Vec::new(), None).await?;
        return Ok(peer);
    };
    let said = answers.say_hello(nonce.to_vec(), Some(proof)).await?;
    let proof = hear_proof(calls).await?;
    let proved = owed.hear(proof.as_ref());
    proved.map_err(|why| copy.unproved(why, &other))?;
    let peer = accept(copy, id, &hello)?;
    // By what it was told the peer knows which cluster both belong to.
    let (own, theirs) = (claim(&said)?, claim(&hello)?);
    if settle(&own, &theirs) != Ok(peer.cluster) {
        return Err(Ended::Renamed);
    }
    Ok(peer)
}

/// Says who this is, and hears who answers at `address`.
pub(crate) async fn call(
    copy: &Copy,
    address: &backfence_process::Address,
    calls: &Says,
    open: impl AsyncFnOnce() -> Result<Streaming<v1::PeerMessage>, Status>,
) -> Result<(Peer, Streaming<v1::PeerMessage>), Ended> {
    let caller = copy
        .key
        .call(Rpc::Gossip, Some(copy.id), address, copy.nonce());
    calls.say_hello(caller.nonce(), None).await?;
    let mut answers = open().await?;
    let (id, hello) = hear_hello(&mut answers).await?;
    let heard = caller.hear(&hello);
    let proof = heard.map_err(|why| copy.unproved(why, &named(id, &hello)))?;
    if let Some(proof) = proof {
        calls.say(Body::Proof(proof)).await?;
    }
    Ok((accept(copy, id, &hello)?, answers))
}

/// `None` where the peer says something else.
async fn hear_proof(stream: &mut Streaming<v1::PeerMessage>) -> Result<Option<v1::Proof>, Status> {
    let heard = timeout(MESSAGE, stream.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no proof came"))??;
    Ok(match heard.and_then(|message| message.body) {
        Some(Body::Proof(proof)) => Some(proof),
        _ => None,
    })
}

fn claim(hello: &v1::Hello) -> Result<Claim, Status> {
    Claim::read(&hello.cluster, hello.standing, &hello.fingerprint).map_err(malformed)
}

/// A peer as it says to be; what a stranger says is no text for a log, nor long.
fn named(id: ReplicaId, hello: &v1::Hello) -> String {
    let address = hello.address.chars().filter(|c| !c.is_control());
    format!("replica {id} at {}", address.take(80).collect::<String>())
}
