//! Following the registry's entries through its outages.

use std::{collections::BTreeMap, time::Duration};

use backfence_wire::v1;
use tokio::{sync::watch, time::Instant};
use tonic::{Status, Streaming};

use crate::{Backoff, Discovery, Entry, Name, discovery::reason, within};

/// How long the registry may take to begin its answer.
const BEGIN: Duration = Duration::from_secs(2);
/// How long entries that it no longer has are kept after it has come back: a
/// restarted one knows nobody until everybody has registered again.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps the receivers up to date until all are dropped.
pub(crate) async fn follow(
    discovery: Discovery,
    prefix: String,
    sender: watch::Sender<BTreeMap<Name, Entry>>,
) {
    let follower = Follower {
        backoff: Backoff::new(&discovery.environment),
        discovery,
        prefix,
        sender: &sender,
        away: false,
    };
    tokio::select! {
        biased;
        () = sender.closed() => {}
        () = follower.follow() => {}
    }
}

struct Follower<'a> {
    discovery: Discovery,
    prefix: String,
    sender: &'a watch::Sender<BTreeMap<Name, Entry>>,
    backoff: Backoff,
    /// The registry does not answer, which has been logged.
    away: bool,
}

impl Follower<'_> {
    async fn follow(mut self) {
        loop {
            let Err(status) = self.follow_stream().await;
            if !std::mem::replace(&mut self.away, true) {
                tracing::warn!(
                    registry = %self.discovery.registry,
                    reason = reason(&status),
                    "the registry is away; going on with what was known"
                );
            }
            self.backoff.wait().await;
        }
    }

    async fn follow_stream(&mut self) -> Result<std::convert::Infallible, Status> {
        let mut stream = self.open().await?;
        let mut latest = self.next(&mut stream).await?;
        let grace = if self.away { GRACE } else { Duration::ZERO };
        let grace_ends = Instant::now() + grace;
        self.answered();
        loop {
            let in_grace = Instant::now() < grace_ends;
            let mut entries = BTreeMap::new();
            if in_grace {
                entries.clone_from(&self.sender.borrow());
            }
            entries.extend(latest.clone());
            self.publish(entries);
            tokio::select! {
                biased;
                next = self.next(&mut stream) => latest = next?,
                () = tokio::time::sleep_until(grace_ends), if in_grace => {}
            }
        }
    }

    async fn open(&self) -> Result<Streaming<v1::ListResponse>, Status> {
        let request = v1::WatchRequest {
            prefix: self.prefix.clone(),
        };
        let mut client = self.discovery.client.clone();
        Ok(within(BEGIN, client.watch(request)).await?.into_inner())
    }

    async fn next(
        &self,
        stream: &mut Streaming<v1::ListResponse>,
    ) -> Result<BTreeMap<Name, Entry>, Status> {
        let list = stream
            .message()
            .await?
            .ok_or_else(|| Status::unavailable("the registry has stopped"))?;
        self.discovery
            .entries(list.entries)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn answered(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.away) {
            tracing::info!(registry = %self.discovery.registry, "the registry is back");
        }
    }

    fn publish(&self, entries: BTreeMap<Name, Entry>) {
        self.sender.send_if_modified(|published| {
            let changed = *published != entries;
            *published = entries;
            changed
        });
    }
}
