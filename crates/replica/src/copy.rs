//! This replica's copy: the protocol behind one lock, and who waits for it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use backfence_gossip::{
    Accepted, MalformedState, Message, Offer, Received, Refusal, Replica, ReplicaId, Scope,
    Timestamp, Update, View,
};
use backfence_process::{Address, Environment};
use backfence_ratings::{Base, Operation, Ratings, UnknownMovie};
use backfence_wire::v1;
use tokio::sync::{Notify, watch};

use crate::{Config, incarnation::Start};

/// The one owner of the protocol's state.
///
/// The lock is a plain mutex: every call is short and none waits, so it is never
/// held across an await, and a task that wants it waits no longer than a call.
pub(crate) struct Copy {
    pub(crate) id: ReplicaId,
    pub(crate) address: Address,
    pub(crate) base: Arc<Base>,
    pub(crate) fingerprint: String,
    environment: Environment,
    overload_probability: f64,
    offline: AtomicBool,
    replica: Mutex<Replica<Ratings>>,
    /// Marked changed whenever the value has grown: held queries ask again.
    grown: watch::Sender<()>,
    /// Marked changed whenever a front end's update was accepted: peers are pushed.
    news: watch::Sender<()>,
    /// The peers with a stream to them; told to pull at once.
    pulls: Mutex<BTreeMap<ReplicaId, Arc<Notify>>>,
}

impl Copy {
    pub(crate) fn new(
        start: &Start,
        base: Arc<Base>,
        address: Address,
        config: &Config,
        environment: Environment,
    ) -> Self {
        let id = start.id;
        let mut replica = Replica::new(id, Ratings::new(base.clone()), config.limits);
        replica.meet(start.members.iter().copied());
        if start.first {
            replica.found();
        }
        Self {
            id,
            address,
            fingerprint: base.fingerprint(),
            base,
            environment,
            overload_probability: config.overload_probability,
            offline: AtomicBool::new(false),
            replica: Mutex::new(replica),
            grown: watch::Sender::new(()),
            news: watch::Sender::new(()),
            pulls: Mutex::default(),
        }
    }

    /// Whether a front end's request is declined, and why. Over-load is drawn for
    /// each request and leaves the status alone.
    pub(crate) fn declines(&self) -> Option<v1::Declined> {
        if self.offline.load(Ordering::Relaxed) {
            Some(v1::Declined::Offline)
        } else if self.overload_probability > 0.0
            && self.environment.chance(self.overload_probability)
        {
            Some(v1::Declined::Overloaded)
        } else {
            None
        }
    }

    /// Turns the status round; says what it was and what it is.
    pub(crate) fn change_status(&self) -> (v1::ServerStatus, v1::ServerStatus) {
        let was_offline = self.offline.fetch_not(Ordering::Relaxed);
        (status(was_offline), status(!was_offline))
    }

    /// Takes an update of a movie that exists.
    pub(crate) fn update(&self, update: Update<Operation>) -> Result<Accepted, UpdateError> {
        let now = self.environment.now();
        let mut replica = self.replica();
        replica.value().check(&update.operation)?;
        let accepted = replica.update(update, now)?;
        drop(replica);
        if accepted.number.is_some() {
            self.grown.send_replace(());
            self.news.send_replace(());
        }
        Ok(accepted)
    }

    /// Asks the value, if it covers `prev`.
    pub(crate) fn query<T>(
        &self,
        prev: &Timestamp,
        ask: impl FnOnce(View<'_, Ratings>) -> T,
    ) -> Result<Option<T>, Refusal> {
        let now = self.environment.now();
        Ok(self.replica().query(prev, now)?.map(ask))
    }

    /// The first record of each origin that `prev` asks for and the value lacks.
    pub(crate) fn missing(&self, prev: &Timestamp) -> Timestamp {
        self.replica().missing(prev)
    }

    /// Has what `prev` asks for and the value lacks pulled from peers, at once.
    pub(crate) fn pull(&self, prev: &Timestamp) {
        let sources = self.replica().sources(prev);
        let pulls = self.pulls();
        for source in sources {
            if let Some(pull) = pulls.get(&source) {
                pull.notify_one();
            }
        }
    }

    /// What to send to a peer.
    pub(crate) fn message(&self, peer: ReplicaId, scope: Scope) -> Message<Ratings> {
        self.replica().message(peer, scope)
    }

    /// A message without records.
    pub(crate) fn report(&self) -> Offer<Operation> {
        self.replica().report()
    }

    /// Whether a peer lacks something.
    pub(crate) fn has_news_for(&self, peer: ReplicaId, scope: Scope) -> bool {
        self.replica().has_news_for(peer, scope)
    }

    /// What a peer last reported.
    pub(crate) fn reported(&self, peer: ReplicaId) -> Option<Timestamp> {
        self.replica().reported(peer).cloned()
    }

    /// Takes a message of a peer. Whatever it brings, held queries ask again: also a
    /// retirement that comes to count may set them free.
    pub(crate) fn receive(&self, message: Message<Ratings>) -> Result<Received, MalformedState> {
        let received = self.replica().receive(message);
        self.grown.send_replace(());
        received
    }

    /// Hears of a peer that opens a stream.
    pub(crate) fn meet(&self, peer: ReplicaId) {
        self.replica().meet([peer]);
        self.grown.send_replace(());
    }

    /// Where all `others` that are registered have a stream and still nobody has been
    /// found to join by, they have started together, as a cluster.
    pub(crate) fn found_with(&self, others: usize) {
        let linked = self.pulls().len() >= others;
        let mut replica = self.replica();
        if linked && !replica.has_joined() {
            replica.found();
            drop(replica);
            self.grown.send_replace(());
        }
    }

    /// Waits until a later incarnation of this server is heard of.
    pub(crate) async fn retired(&self) {
        let mut grown = self.grown();
        while !self.replica().is_retired() {
            // The sender lives in this copy.
            let _ = grown.changed().await;
        }
    }

    /// Marked changed whenever the value has grown.
    pub(crate) fn grown(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Marked changed whenever there is something to push.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Lets the stream to `peer` be told to pull, until the entry is taken out.
    pub(crate) fn link(&self, peer: ReplicaId) -> Arc<Notify> {
        self.pulls().entry(peer).or_default().clone()
    }

    /// The stream to `peer` has ended.
    pub(crate) fn unlink(&self, peer: ReplicaId) {
        self.pulls().remove(&peer);
    }

    /// Who this is and what it has.
    pub(crate) fn describe(&self) -> v1::DescribeResponse {
        let replica = self.replica();
        let state = v1::ReplicaState {
            id: Some(self.id.into()),
            value_ts: Some(replica.value_ts().into()),
            replica_ts: Some(replica.replica_ts().into()),
            log_len: replica.log_len() as u64,
            waiting: replica.waiting_len() as u64,
        };
        v1::DescribeResponse {
            state: Some(state),
            status: status(self.offline.load(Ordering::Relaxed)).into(),
            fingerprint: self.fingerprint.clone(),
            members: replica.members().map(Into::into).collect(),
        }
    }

    /// Whoever panicked inside a call may have left the state half-changed, so the
    /// panic goes on to everyone: a wrong answer would be worse than none.
    fn replica(&self) -> MutexGuard<'_, Replica<Ratings>> {
        self.replica.lock().expect("the protocol's state is intact")
    }

    fn pulls(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Arc<Notify>>> {
        self.pulls
            .lock()
            .expect("a map of peers cannot be half-changed")
    }
}

/// Why an update was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    #[error(transparent)]
    UnknownMovie(#[from] UnknownMovie),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

const fn status(offline: bool) -> v1::ServerStatus {
    if offline {
        v1::ServerStatus::Offline
    } else {
        v1::ServerStatus::Online
    }
}
