//! One server: its address, its link, and whether it is worth a try.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use backfence_gossip::{ReplicaId, Time, Timestamp};
use backfence_process::{Entry, Environment, NodeKey};
use backfence_wire::{
    Malformed,
    v1::{ServeReply, ServeRequest, serve_reply::Outcome},
};
use tokio::time::Instant;

use crate::{
    breaker::Breaker,
    clusters::Clusters,
    fresh::Asker,
    link::{Calls, Link, Unanswered},
    lock,
    said::Said,
};

/// A try that was given less says nothing about a replica that did not answer:
/// else a client with a short deadline could have every replica skipped.
const TELLING: Duration = Duration::from_millis(100);

/// A server that the registry lists.
#[derive(Debug)]
pub(crate) struct Server {
    /// From 1, as in its name.
    pub(crate) number: u32,
    pub(crate) entry: Entry,
    /// What it has said of itself.
    pub(crate) said: Arc<Said>,
    link: Link,
    /// Held for one look or change, never across an await.
    breaker: Mutex<Breaker>,
    environment: Environment,
}

/// A reply that could be read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) ts: Timestamp,
    pub(crate) clock: Time,
    /// What the replica's clock shows; 0 where it does not say.
    pub(crate) now: Time,
    pub(crate) outcome: Outcome,
    /// The replicas of which the session has seen what is lost for good.
    pub(crate) lost: Vec<ReplicaId>,
}

impl Server {
    /// Connects at the first request. Must be called inside a runtime.
    pub(crate) fn new(
        number: u32,
        entry: Entry,
        clusters: &Arc<Mutex<Clusters>>,
        key: &NodeKey,
        environment: &Environment,
    ) -> Self {
        let said = Arc::new(Said::new(entry.name.clone(), clusters));
        let calls = Calls {
            key: key.clone(),
            address: entry.address.clone(),
            environment: environment.clone(),
        };
        Self {
            number,
            link: Link::new(calls, Arc::clone(&said)),
            said,
            entry,
            breaker: Mutex::default(),
            environment: environment.clone(),
        }
    }

    /// Whether a try of length `share` is worth it now.
    pub(crate) fn admits(&self, now: Instant, share: Duration) -> bool {
        self.breaker().admits(now, share)
    }

    /// Sends a request and waits for its reply, for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]; the server may then be skipped for a while.
    pub(crate) async fn ask(
        &self,
        asker: Asker,
        request: ServeRequest,
        limit: Duration,
    ) -> Result<Reply, Unanswered> {
        let tried = Instant::now();
        let answered = self.link.ask(asker, request, limit).await;
        let read = answered.and_then(|reply| {
            Reply::try_from(reply).map_err(|error| {
                tracing::error!(server = %self.entry.name, %error, "cannot read a reply; is the server of another version?");
                Unanswered::Broken { sent: true }
            })
        });
        match &read {
            Ok(_) => self.succeeded(),
            Err(Unanswered::Full) => {}
            Err(Unanswered::TimedOut { .. }) if limit < TELLING => {}
            Err(unanswered) => self.failed(tried, *unanswered),
        }
        read
    }

    fn succeeded(&self) {
        if self.breaker().succeeded() {
            tracing::info!(server = %self.entry.name, "a server answers again");
        }
    }

    fn failed(&self, tried: Instant, why: Unanswered) {
        let jitter = |wait| self.environment.jitter(wait);
        if self.breaker().failed(tried, Instant::now(), jitter) {
            let (server, address) = (&self.entry.name, &self.entry.address);
            tracing::warn!(%server, %address, %why, "skipping a server for a while");
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        lock(&self.breaker)
    }
}

impl TryFrom<ServeReply> for Reply {
    type Error = Malformed;

    fn try_from(reply: ServeReply) -> Result<Self, Malformed> {
        Ok(Self {
            ts: reply.ts.unwrap_or_default().try_into()?,
            clock: Time(reply.clock_us),
            now: Time(reply.now_us),
            lost: backfence_wire::all(reply.lost)?,
            outcome: reply.outcome.ok_or(Malformed("a reply without outcome"))?,
        })
    }
}
