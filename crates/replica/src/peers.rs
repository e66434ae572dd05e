//! The calling side of gossip: one task and one stream for each peer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backfence_gossip::{MAX_SERVERS, Message, Scope};
use backfence_process::{Address, Backoff, CancellationToken, Entry, Environment, Name, within};
use backfence_wire::{
    MAX_GOSSIP,
    v1::{self, replica_client::ReplicaClient},
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming};

use crate::{
    Config,
    copy::{Clock, Copy},
    gossip::{Ended, MESSAGE, Peer, Says, hear, refuse_if_full},
    greet,
};

/// Messages on their way to one peer. There is one call at a time; a state comes
/// in several.
const OUTGOING: usize = 4;
/// How long a leaving replica may take to push what a peer lacks.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a leaving replica waits for its links to end.
const LEAVE: Duration = Duration::from_secs(2);
/// How long to leave alone a peer that can never be gossiped with as it is.
const REFUSED: Duration = Duration::from_secs(5);

/// Keeps one link to each replica that is registered.
pub(crate) struct Peers {
    copy: Arc<Copy>,
    interval: Duration,
    environment: Environment,
}

impl Peers {
    pub(crate) fn new(copy: Arc<Copy>, config: Config, environment: Environment) -> Self {
        Self {
            copy,
            interval: config.gossip_interval,
            environment,
        }
    }

    /// Follows the coming and going of replicas until `shutdown`, then lets every
    /// link say farewell.
    pub(crate) async fn run(
        self,
        mut entries: watch::Receiver<BTreeMap<Name, Entry>>,
        shutdown: CancellationToken,
    ) {
        let mut links = JoinSet::new();
        let mut handles: BTreeMap<Address, AbortHandle> = BTreeMap::new();
        loop {
            let wanted: Vec<Address> = entries
                .borrow_and_update()
                .values()
                .map(|entry| entry.address.clone())
                .filter(|address| *address != self.copy.address)
                .take(MAX_SERVERS)
                .collect();
            handles.retain(|address, handle| {
                let stays = wanted.contains(address);
                if !stays {
                    handle.abort();
                }
                stays
            });
            for address in wanted {
                let link = || links.spawn(self.link(address.clone()).run(shutdown.clone()));
                handles.entry(address.clone()).or_insert_with(link);
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                changed = entries.changed() => if changed.is_err() { break },
                () = self.copy.linked() => self.found(&entries),
                () = sleep(self.interval) => self.found(&entries),
            }
        }
        shutdown.cancelled().await;
        // One that is within an exchange, or waits for a full disk, is given up.
        let all = async { while links.join_next().await.is_some() {} };
        if timeout(LEAVE, all).await.is_err() {
            tracing::warn!("left before all peers were told the last");
        }
    }

    fn found(&self, entries: &watch::Receiver<BTreeMap<Name, Entry>>) {
        let entries = entries.borrow();
        if !entries.is_empty() {
            let others = entries.values().map(|entry| &entry.address);
            self.copy.found_with(
                others
                    .filter(|address| **address != self.copy.address)
                    .take(MAX_SERVERS),
            );
        }
    }

    fn link(&self, address: Address) -> Link {
        Link {
            copy: self.copy.clone(),
            address,
            interval: self.interval,
            environment: self.environment.clone(),
        }
    }
}

/// The way to one peer.
struct Link {
    copy: Arc<Copy>,
    address: Address,
    interval: Duration,
    environment: Environment,
}

impl Link {
    /// Keeps a stream to the peer, for ever.
    async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Backoff::new(&self.environment);
        let mut complained = None;
        while !shutdown.is_cancelled() {
            let ended = match self.open().await {
                Ok(mut stream) => {
                    backoff.reset();
                    complained = None;
                    let ended = stream.exchange_for_long(&self, &shutdown).await;
                    match ended {
                        Ok(()) => return,
                        Err(ended) => ended,
                    }
                }
                Err(ended) => ended,
            };
            let status = match ended {
                Ended::Renamed => continue,
                Ended::Status(status) => status,
            };
            let refused = matches!(
                status.code(),
                Code::FailedPrecondition | Code::Unauthenticated
            );
            if complained != Some(status.code()) {
                complained = Some(status.code());
                let (peer, reason) = (&self.address, status.message());
                if refused {
                    tracing::error!(%peer, "no gossip: {reason}");
                } else {
                    tracing::info!(%peer, reason, "no gossip for now");
                }
            }
            let pause = async {
                if refused {
                    sleep(REFUSED).await;
                } else {
                    backoff.wait().await;
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = pause => {}
            }
        }
    }

    async fn open(&self) -> Result<Stream, Ended> {
        let mut client = ReplicaClient::new(self.environment.connect(&self.address))
            .max_decoding_message_size(MAX_GOSSIP)
            .max_encoding_message_size(MAX_GOSSIP);
        let (calls, receiver) = mpsc::channel(OUTGOING);
        let calls = Says {
            copy: self.copy.clone(),
            to: calls,
        };
        let outgoing = ReceiverStream::new(receiver).filter_map(Result::ok);
        let open = async || Ok(within(MESSAGE, client.gossip(outgoing)).await?.into_inner());
        let (peer, answers) = greet::call(&self.copy, &self.address, &calls, open).await?;
        tracing::debug!(peer = %peer.id, address = %self.address, "gossiping");
        Ok(Stream {
            copy: self.copy.clone(),
            peer,
            calls,
            answers,
        })
    }
}

/// An open stream to a peer.
struct Stream {
    copy: Arc<Copy>,
    peer: Peer,
    calls: Says,
    answers: Streaming<v1::PeerMessage>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.copy.unlink(self.peer.id);
    }
}

impl Stream {
    /// Exchanges with the peer: right away, at news, when a query lacks something,
    /// and from time to time. Ends well only at `shutdown`.
    async fn exchange_for_long(
        &mut self,
        link: &Link,
        shutdown: &CancellationToken,
    ) -> Result<(), Ended> {
        let mut news = self.copy.news();
        let (copy, cluster) = (self.copy.clone(), self.peer.cluster);
        self.pull().await?;
        let pull = self.copy.link(self.peer.id);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    let farewell = self.push(Scope::All);
                    return timeout(FAREWELL, farewell).await.unwrap_or(Ok(()));
                }
                () = copy.left(cluster) => return Err(Ended::Renamed),
                _ = news.changed() => self.push(Scope::Own).await?,
                () = pull.notified() => self.pull().await?,
                () = sleep(link.environment.jitter(link.interval)) => self.pull().await?,
            }
        }
    }

    /// Fetches all that the peer has and this replica lacks; then, since the peer
    /// has just told what it has, sends what it lacks.
    async fn pull(&mut self) -> Result<(), Ended> {
        loop {
            let report = self.copy.report().await;
            let more = self.exchange(&report, true).await?;
            if !more {
                break;
            }
        }
        self.push(Scope::All).await
    }

    /// Sends what the peer lacks, as long as it takes it in.
    async fn push(&mut self, scope: Scope) -> Result<(), Ended> {
        while self.copy.has_news_for(self.peer.id, scope) {
            let before = self.copy.reported(self.peer.id);
            let message = self.copy.message(self.peer.id, scope).await;
            self.exchange(&message, false).await?;
            if self.copy.reported(self.peer.id) == before {
                break;
            }
        }
        Ok(())
    }

    /// One call and its answer. Says whether it brought something, and the peer has
    /// more than it sent.
    async fn exchange(
        &mut self,
        message: &Message<backfence_ratings::Ratings>,
        pull: bool,
    ) -> Result<bool, Ended> {
        let sent = Instant::now();
        self.calls.say_message(self.peer, message, pull).await?;
        let heard = timeout(MESSAGE, hear(&self.copy, self.peer.id, &mut self.answers))
            .await
            .map_err(|_| Status::deadline_exceeded("the peer does not answer"))??
            .ok_or_else(|| Status::unavailable("the peer has gone"))?;
        self.copy.heard(self.peer.id, sent);
        let more = matches!(&heard.message, Message::Offer(offer) if offer.more);
        refuse_if_full(&self.copy, &heard.message)?;
        let clock = Clock::Sought(heard.clock);
        let is_news = self
            .copy
            .receive(self.peer.cluster, heard.message, clock)
            .await?;
        Ok(more && is_news)
    }
}
