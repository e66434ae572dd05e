//! The copy and its disk: what is said waits for what it tells.

use std::time::Duration;

use backfence_gossip::{MalformedState, Message, Offer, Replica, Standing, State, Time};
use backfence_ratings::Ratings;
use backfence_store::{Batch, Recovered};
use tokio_stream::wrappers::WatchStream;

use super::{Copy, Held, Told, age::warn_of_late};
use crate::{disk::Disk, unwritten::Position};

/// How long a leaving replica waits for its disk.
const FLUSH: Duration = Duration::from_secs(2);

impl Copy {
    /// What is said of the state as it is.
    pub(crate) fn look<T>(&self, say: impl FnOnce(&Replica<Ratings>) -> T) -> Told<T> {
        let held = self.held();
        Told {
            what: say(&held.replica),
            after: held.position(),
        }
    }

    /// The same, when it may be told.
    pub(super) async fn when_written<T>(&self, say: impl FnOnce(&Replica<Ratings>) -> T) -> T {
        let told = self.look(say);
        self.reach(told.after).await;
        told.what
    }

    /// Waits a while until all is written.
    pub(crate) async fn flush(&self) {
        let all = self.held().position();
        if tokio::time::timeout(FLUSH, self.reach(all)).await.is_err() {
            tracing::warn!("ended before all was written; nobody was told of the rest");
        }
    }

    /// Waits until the disk has come so far.
    pub(crate) async fn reach(&self, position: Position) {
        if let Some(disk) = &self.disk {
            disk.reach(position).await;
        }
    }

    /// How far the disk is, at each step; `None` where nothing is kept.
    pub(crate) fn written(&self) -> Option<WatchStream<Position>> {
        self.disk.as_ref().map(Disk::written)
    }

    /// Whether what is told after `position` may be told at once.
    pub(crate) fn has_reached(&self, position: Position) -> bool {
        self.disk
            .as_ref()
            .is_none_or(|disk| disk.has_reached(position))
    }

    /// Whether the disk takes nothing now.
    pub(crate) fn is_full(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::is_full)
    }

    /// The disk, where there is one.
    pub(crate) const fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// For the disk: all that is to be written.
    pub(crate) fn take_unwritten(&self) -> Option<(Batch, Position)> {
        let mut held = self.held();
        let Held {
            replica, unwritten, ..
        } = &mut *held;
        unwritten.as_mut()?.take(replica)
    }

    /// There is something to write, or nothing will be any more.
    pub(crate) fn wake_disk(&self) {
        if let Some(disk) = &self.disk {
            disk.wake();
        }
    }
}

/// Takes in what a former life has stored, as if it had said it.
pub(super) fn recover(
    replica: &mut Replica<Ratings>,
    recovered: Recovered,
    now: Time,
) -> Result<(), MalformedState> {
    let from = replica.id();
    let replica_ts = recovered
        .state
        .as_ref()
        .map(|state| state.replica_ts.clone());
    if let Some(state) = recovered.state {
        let received = replica.receive(Message::State(Box::new(State { from, ..state })), now)?;
        warn_of_late(&received.late);
    }
    let records = Offer {
        from,
        replica_ts: replica_ts.unwrap_or_default(),
        members: recovered.members,
        ended: Vec::new(),
        records: recovered.records,
        more: false,
        standing: Standing::New,
        horizon: Time::default(),
        settled: Time::default(),
    };
    let received = replica.receive(Message::Offer(records), now)?;
    if received.ignored > 0 {
        let records = received.ignored;
        tracing::warn!(records, "stored records were there already");
    }
    Ok(())
}
